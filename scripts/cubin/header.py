# SPDX-License-Identifier: MIT
"""The block at the head of a kernel file: fields `// Name: text`, each over as many lines as it needs.

Of a field that is checked, the first sentence counts; what follows is for people. It has clauses between semicolons. A clause
that begins with a pattern and a colon is for the kernels so named, templates with their arguments as in
`gemm_kernel<float,*>`; any other one is for all kernels of the file."""
import fnmatch
import re

FIELDS = ("Formula", "Layout", "Thread mapping", "Budget", "Instructions", "Architectures", "Preconditions", "Precision")


def read(path):
    """The fields of a file by name."""
    found, name = {}, None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("//"):
                break
            text = line[2:].strip()
            start = re.match(r"([A-Z][a-z ]+): (.*)", text)
            if start and start[1] in FIELDS:
                name, text = start[1], start[2]
                found[name] = text
            elif name:
                found[name] += " " + text
    return found


def sentence(text):
    """The first one, without its full stop."""
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0]


class Clause:
    def __init__(self, text):
        pattern = re.match(r"([\w<>,*]+): (.*)", text)
        self.pattern, self.text = (pattern[1], pattern[2]) if pattern else ("*", text)

    def takes(self, kernel):
        return fnmatch.fnmatchcase(kernel, self.pattern)


def clauses(text):
    return [Clause(part.strip()) for part in sentence(text).split(";")]
