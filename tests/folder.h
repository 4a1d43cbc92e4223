// SPDX-License-Identifier: Apache-2.0
/* An empty folder for a test that writes files with fixed names. */
#ifndef INT4Q_TEST_FOLDER_H
#define INT4Q_TEST_FOLDER_H

/* Setup and teardown of cmocka, or parts of them: the folder is made, and where the test runs; it goes again
 * with the files in it. */
int folder_enter(void **state);
int folder_leave(void **state);

#endif
