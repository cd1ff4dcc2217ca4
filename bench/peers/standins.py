# SPDX-License-Identifier: MIT
"""Lets PyTorch's Linux wheel load without the CUDA libraries it links (over 2 GB), which a run on the CPU never calls.

    standins.py        with the Python whose torch it is; needs a C compiler and readelf

Next to torch's own libraries it puts small ones of the missing names, versions and symbols whose functions do nothing but
answer 100 (no device). torch itself is left as it was delivered.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

CUDA_FILE = re.compile(r"lib(cu(?!da\.)|nccl|nv)\w*\.so")
CUDA_NAME = re.compile(r"(cu|nccl|nv)[A-Za-z_]\w+$")


def wanted(folder: Path) -> dict[str, dict[str, set[str]]]:
    """{library: {version or "": symbols}} of the CUDA libraries that those in `folder` need."""
    needed: set[str] = set()
    library_of: dict[str, str] = {}
    symbols: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.glob("*.so*")):
        text = subprocess.run(["readelf", "-dVW", "--dyn-syms", path], capture_output=True, text=True, check=True).stdout
        needed |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", text))
        library = ""
        for line in text.splitlines():
            if found := re.search(r"Version: 1  File: (\S+)", line):
                library = found[1]
            elif found := re.match(r"\s+\S+:\s+Name: (\S+)  Flags: ", line):
                library_of.setdefault(found[1], library)
            elif found := re.match(r"\s*\d+: \S+\s+\d+ \S+\s+\S+\s+\S+\s+UND (\S+)", line):
                name, _, version = found[1].partition("@")
                if version or CUDA_NAME.match(name):
                    symbols[version].add(name)
    result: dict[str, dict[str, set[str]]] = {
        name: {} for name in needed if CUDA_FILE.match(name) and not (folder / name).exists()
    }
    for version, names in symbols.items():
        # Symbols without a version are found wherever they are: one library has them all.
        library = library_of.get(version, "") if version else min(result, default="")
        if library in result:
            result[library][version] = names
    return result


def build(folder: Path, library: str, versions: dict[str, set[str]]) -> None:
    names = sorted(set().union(*versions.values()))
    source = "".join(f"int {name}(void) {{ return 100; }}\n" for name in names) or "typedef int nothing;\n"
    script = "".join(f"{v} {{ global: {'; '.join(sorted(s))}; }};\n" for v, s in sorted(versions.items()) if v)
    map_file = folder / f"{library}.map"
    map_file.write_text(script)
    flags = [f"-Wl,--version-script={map_file}"] if script else []
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{library}", *flags]
    command += ["-xc", "-", "-o", str(folder / library)]
    subprocess.run(command, input=source, text=True, check=True)
    map_file.unlink()


def main() -> int:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        print("peers: torch is not installed for this Python", file=sys.stderr)
        return 1
    folder = Path(spec.origin).parent / "lib"
    for library, versions in sorted(wanted(folder).items()):
        build(folder, library, versions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
