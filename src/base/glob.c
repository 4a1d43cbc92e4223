// SPDX-License-Identifier: Apache-2.0
#include "base/glob.h"

#include <ctype.h>
#include <string.h>

/* Tokens below are bytes; from SET on they are numbers of sets. */
enum { ANY = UINT8_MAX + 1, STAR, SET };

bool i4q_glob_is_plain(const char *text)
{
    return !strpbrk(text, "*?[\\");
}

/* ---- sets */

static void add_byte(uint8_t *set, unsigned byte)
{
    set[byte / 8] |= (uint8_t)(1 << byte % 8);
}

static bool has_byte(const uint8_t *set, unsigned byte)
{
    return set[byte / 8] >> byte % 8 & 1;
}

/* Adds the class whose name stands at `name`; one that is not known has no bytes. */
static void add_class(uint8_t *set, const char *name, size_t length)
{
    static const struct {
        const char *name;
        int (*holds)(int byte);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                   {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                   {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0)
            for (int byte = 1; byte <= UINT8_MAX; byte++)
                if (classes[i].holds(byte))
                    add_byte(set, (unsigned)byte);
}

/* Behind the class that `at` begins, "[:digit:]", whose bytes are added; NULL: it is none. */
static const char *read_class(const char *at, uint8_t *set)
{
    const char *name = at + 2, *end = at[0] == '[' && at[1] == ':' ? name : NULL;
    while (end && islower((unsigned char)*end))
        end++;
    if (!end || end[0] != ':' || end[1] != ']')
        return NULL;
    add_class(set, name, (size_t)(end - name));
    return end + 2;
}

/* One byte of a set, written as itself or behind a '\'; false at the end of the pattern. */
static bool read_byte(const char **at, unsigned *byte)
{
    *at += (*at)[0] == '\\';
    *byte = (unsigned char)**at;
    *at += *byte != 0;
    return *byte != 0;
}

/* A byte, or a range of them. */
static const char *read_range(const char *at, uint8_t *set)
{
    unsigned first, last;
    if (!read_byte(&at, &first))
        return NULL;
    last = first;
    if (at[0] == '-' && at[1] != ']' && at[1] && (at++, !read_byte(&at, &last)))
        return NULL;
    for (unsigned byte = first; byte <= last; byte++)
        add_byte(set, byte);
    return at;
}

/* Behind the set that begins at `at`, after its '['; NULL: nothing closes it. A ']' at its front is one of
 * its bytes. */
static const char *read_set(const char *at, uint8_t *set)
{
    bool negated = *at == '!' || *at == '^', first = true;
    for (at += negated; at && (*at != ']' || first); first = false) {
        const char *behind = read_class(at, set);
        at = behind ? behind : read_range(at, set);
    }
    for (size_t i = 0; at && negated && i < UINT8_MAX / 8 + 1; i++)
        set[i] = (uint8_t)~set[i];
    return at ? at + 1 : NULL;
}

/* ---- patterns */

/* The set that the pattern begins with, as a token; where nothing closes it, a '['. What closes none closes
 * no later one either, unless a class ends there that begins with the very '['. */
static const char *compile_set(const char *pattern, struct i4q_glob *glob, bool *may_close)
{
    uint8_t *set = glob->sets[glob->n_sets];
    const char *behind = NULL;
    if (*may_close || read_class(pattern, set)) {
        memset(set, 0, sizeof glob->sets[0]);
        behind = read_set(pattern + 1, set);
        *may_close &= behind != NULL;
    }
    glob->tokens[glob->count++] = behind ? (uint16_t)(SET + glob->n_sets++) : '[';
    return behind ? behind : pattern + 1;
}

bool i4q_glob_compile(const char *pattern, struct i4q_glob *glob)
{
    bool may_close = true;
    glob->count = glob->n_sets = 0;
    if (strlen(pattern) > I4Q_GLOB_MAX)
        return false;
    while (*pattern) {
        if (*pattern == '[') {
            pattern = compile_set(pattern, glob, &may_close);
            continue;
        }
        bool escaped = pattern[0] == '\\' && pattern[1];
        unsigned byte = (unsigned char)pattern[escaped];
        bool wild = !escaped && (byte == '*' || byte == '?');
        glob->tokens[glob->count++] = (uint16_t)(!wild ? byte : byte == '*' ? STAR : ANY);
        pattern += 1 + escaped;
    }
    return true;
}

static bool takes(const struct i4q_glob *glob, unsigned token, unsigned byte)
{
    return token < ANY ? token == byte
                       : token == ANY || (token >= SET && has_byte(glob->sets[token - SET], byte));
}

/* A star that fails takes one byte more; an earlier one need not, since the text between was found at its
 * first place. */
bool i4q_glob_match(const struct i4q_glob *glob, const char *text)
{
    size_t at = 0, behind_star = 0;
    const char *from = NULL; /* what the last star has not taken */
    while (*text) {
        if (at < glob->count && glob->tokens[at] == STAR) {
            behind_star = ++at;
            from = text;
        } else if (at < glob->count && takes(glob, glob->tokens[at], (unsigned char)*text)) {
            at++;
            text++;
        } else if (from) {
            at = behind_star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (at < glob->count && glob->tokens[at] == STAR)
        at++;
    return at == glob->count;
}
