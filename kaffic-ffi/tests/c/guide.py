"""Takes the C examples out of a page, each as a program of its own: guide.py PAGE DIRECTORY

An example that has no main is put into one, with a client, an error and a status at hand."""

import pathlib
import re
import sys

BEFORE = """#include <kaffic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void must(kaffic_status_t status, kaffic_error_t *error) {
    if (status != KAFFIC_OK) {
        fprintf(stderr, "%s: %s\\n", kaffic_status_name(status), kaffic_error_message(error));
        exit(1);
    }
}
int main(int argc, char **argv) {
    kaffic_error_t *error = NULL;
    kaffic_client_t *client = NULL;
    kaffic_status_t status = kaffic_client_new(argc > 1 ? argv[1] : "memory://", NULL, &client, &error);
    must(status, error);
"""
AFTER = """
    kaffic_client_free(client);
    return 0;
}
"""

page, directory = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
directory.mkdir(parents=True, exist_ok=True)
examples = re.findall(r"^```c\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
assert examples, f"{page} has no example"
for number, example in enumerate(examples):
    if "int main" not in example:
        example = BEFORE + example + AFTER
    (directory / f"{number:02}.c").write_text(example)
