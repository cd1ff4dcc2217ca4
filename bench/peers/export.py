# SPDX-License-Identifier: MIT
"""Writes the dense model in float32, for fixed shapes, as OpenVINO reads it; the inputs beside it as .npz.

    export.py --ckpt FILE --rows N OUT.xml
"""

import argparse
import sys
from pathlib import Path

import model as dit
import numpy as np
import openvino
import torch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ckpt", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    args = parser.parse_args()
    network = dit.load(args.ckpt, torch.float32)
    values = dit.inputs(args.rows, network.grid * network.patch, network.classes)
    with torch.no_grad():
        converted = openvino.convert_model(network, example_input=values, input=[tuple(v.shape) for v in values])
        expected = network(*values)
    openvino.save_model(converted, args.out, compress_to_fp16=False)
    got = openvino.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([v.numpy() for v in values])[0]
    error = np.abs(got - expected.numpy()).max() / np.abs(expected.numpy()).max()
    if not error <= 1e-3:
        print(f"peers: OpenVINO's model differs from PyTorch's by {error:.1e} of the largest value", file=sys.stderr)
        return 1
    np.savez(args.out.with_suffix(".npz"), x=values[0].numpy(), t=values[1].numpy(), y=values[2].numpy())
    return 0


if __name__ == "__main__":
    sys.exit(main())
