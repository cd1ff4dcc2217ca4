# SPDX-License-Identifier: MIT
"""What scripts/cuda_assemble.sh left in a folder: kernels and their resources."""
import glob
import os
import re
import subprocess
from dataclasses import dataclass


@dataclass
class Kernel:
    symbol: str
    name: str  # demangled, without parameters and spaces: gemm_kernel<float,float>
    arch: str  # "90"
    threads: int  # of a block; 0 without launch bounds
    registers: int = 0  # of a thread
    shared: int = 0  # static, bytes
    local: int = 0  # of a thread: stack and spills, bytes


def short_name(demangled):
    """`void f<int, 2>(float)` becomes f<int,2>."""
    depth, start = 0, 0
    for at, char in enumerate(demangled):
        depth += {"<": 1, ">": -1}.get(char, 0)
        if depth == 0 and char == "(":
            return demangled[start:at].replace(" ", "")
        if depth == 0 and char == " ":
            start = at + 1
    return demangled.replace(" ", "")


def demangled(symbols):
    text = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    return dict(zip(symbols, map(short_name, text.split("\n"))))


def _threads(ptx):
    """Threads of a block by kernel: the launch bounds."""
    found = {}
    with open(ptx, encoding="utf-8") as lines:
        for line in lines:
            entry = re.search(r"\.entry (\w+)\(", line)
            if entry:
                symbol = entry[1]
                found[symbol] = 0
            elif line.startswith(".maxntid"):
                x, y, z = (int(n) for n in re.findall(r"\d+", line))
                found[symbol] = x * y * z
    return found


def _resources(log, arch, names, threads):
    kernel = None
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            entry = re.search(r"Compiling entry function '(\w+)'", line)
            if entry:
                kernel = Kernel(entry[1], names[entry[1]], arch, threads[entry[1]])
            elif "bytes stack frame" in line:  # also of functions that the kernel calls
                kernel.local += sum(int(n) for n in re.findall(r"(\d+) bytes", line))
            elif "Used " in line:
                kernel.registers = int(re.search(r"Used (\d+) registers", line)[1])
                shared = re.search(r"(\d+) bytes smem", line)
                kernel.shared = int(shared[1]) if shared else 0
                yield kernel


def arch_order(arch):
    return int(re.match(r"\d+", arch)[0]), arch


def archs(folder, source):
    """Those that a file was assembled for, ascending."""
    stem = os.path.join(folder, os.path.basename(source)[:-3])
    found = [re.search(r"\.sm_(\w+)\.log$", path)[1] for path in glob.glob(glob.escape(stem) + ".sm_*.log")]
    return sorted(found, key=arch_order)


def kernels(folder, source):
    """Every kernel of a file on every architecture, by name."""
    stem = os.path.join(folder, os.path.basename(source)[:-3])
    threads = _threads(stem + ".ptx")
    names = demangled(sorted(threads))
    found = [k for arch in archs(folder, source) for k in _resources(f"{stem}.sm_{arch}.log", arch, names, threads)]
    return sorted(found, key=lambda k: k.name)
