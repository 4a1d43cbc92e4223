// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "cli/cli.h"

struct arguments {
    struct i4q_common common;
    const char *output;
    bool force;
    struct i4q_number keep;
    struct i4q_patterns include;
    struct i4q_word format;
};

static const char *format_word(size_t index)
{
    static const char *const words[] = {"int4", "uint4", "int8", NULL};
    return words[index];
}

static const struct i4q_option options[] = {
    {'o', "output", "FILE", I4Q_OPTION_STRING, offsetof(struct arguments, output), ""},
    {'f', "force", NULL, I4Q_OPTION_FLAG, offsetof(struct arguments, force), ""},
    {0, "keep", "K", I4Q_OPTION_NUMBER, offsetof(struct arguments, keep), ""},
    {0, "include", "PATTERN", I4Q_OPTION_LIST, offsetof(struct arguments, include), ""},
    {0, "format", "F", I4Q_OPTION_WORD, offsetof(struct arguments, format), "", I4Q_FILE_NONE, format_word},
    I4Q_COMMON_OPTIONS,
    {.name = NULL},
};

static const struct i4q_command command = {.name = "test", .options = options};

static struct arguments arguments;
static struct i4q_error error;
static struct i4q_arena arena;

/* Parses words that are separated by single blanks. */
static bool parse(const char *line)
{
    static char copy[256], *words[32];
    int count = 0;
    i4q_arena_free(&arena);
    i4q_arena_init(&arena, SIZE_MAX / 2);
    error = (struct i4q_error){0};
    arguments = (struct arguments){.common.arena = &arena};
    snprintf(copy, sizeof copy, "%s", line);
    for (char *at = copy, *word; (word = strsep(&at, " "));)
        words[count++] = word;
    return i4q_cli_parse(&command, count, words, &arguments, &error);
}

static void assert_parses(const char *line)
{
    if (!parse(line))
        fail_msg("'%s': %s", line, error.message);
}

static void an_operand_behind_the_model_is_the_output(void **state)
{
    (void)state;
    assert_parses("m n");
    assert_string_equal(arguments.common.model, "m");
    assert_string_equal(arguments.output, "n");
    assert_parses("m -- -n");
    assert_string_equal(arguments.output, "-n");
}

static void words(void **state)
{
    (void)state;
    assert_parses("m");
    assert_null(arguments.format.word);
    assert_int_equal(arguments.format.index, 0);
    assert_parses("m --format int8");
    assert_string_equal(arguments.format.word, "int8");
    assert_int_equal(arguments.format.index, 2);
    static const char *const wrong[] = {"m --format int", "m --format int44",
                                        "m --format=", "m --format=int4 --format=x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(parse(wrong[i]));
        assert_int_equal(error.code, I4Q_USAGE);
        assert_non_null(strstr(error.message, "is none of int4, uint4, int8"));
    }
}

static void forms_of_options(void **state)
{
    (void)state;
    static const char *const same[] = {"-f -o out m",       "m -fo out", "m --output out --force",
                                       "--output=out m -f", "-foout m",  "-f -o x -o out -- m"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_parses(same[i]);
        assert_true(arguments.force);
        assert_string_equal(arguments.output, "out");
        assert_string_equal(arguments.common.model, "m");
    }
    assert_parses("--include a m --include=-b --include -c");
    assert_int_equal(arguments.include.count, 3);
    assert_string_equal(arguments.include.items[1], "-b");
    assert_string_equal(arguments.include.items[2], "-c"); /* a value may look like an option */
    assert_parses("-- -m");
    assert_string_equal(arguments.common.model, "-m");
    assert_parses("-");
    assert_string_equal(arguments.common.model, "-");
    assert_parses("--keep 0 m");
    assert_true(arguments.keep.given && arguments.keep.value == 0);
    assert_parses("--output= m");
    assert_string_equal(arguments.output, "");
    assert_parses("--help --nonsense");
    assert_true(arguments.common.help);
}

static void wrong_usage(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"-f", "no MODEL given"},
        {"m n p", "'p' is neither MODEL nor OUTPUT, both are given"},
        {"m n -o p", "the output is named twice: by --output and behind MODEL"},
        {"m --outputs x", "unknown option '--outputs': did you mean '--output'?"},
        {"m --out x", "unknown option '--out'"},
        {"m --unknown=3", "unknown option '--unknown'"},
        {"m -x", "unknown option '-x'"},
        {"m -fx", "unknown option '-x'"},
        {"m --force=1", "option '--force' takes no value"},
        {"m -o", "option '-o' needs a value (FILE)"},
        {"m --keep", "option '--keep' needs a value (K)"},
        {"m --keep -1", "--keep: '-1' is not a whole number"},
        {"m --keep 1x", "--keep: '1x' is not a whole number"},
        {"m --keep 99999999999999999999", "is not a whole number"},
        {"m --keep=", "--keep: '' is not a whole number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (parse(cases[i].line))
            fail_msg("'%s' was taken", cases[i].line);
        assert_failed(error, I4Q_USAGE, cases[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operand_behind_the_model_is_the_output),
        cmocka_unit_test(words),
        cmocka_unit_test(forms_of_options),
        cmocka_unit_test(wrong_usage),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    i4q_arena_free(&arena);
    return status;
}
