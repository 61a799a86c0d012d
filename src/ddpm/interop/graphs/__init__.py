"""Networks for programs that have no `ddpm`: a graph of operations, with all numbers that sampling needs beside it.

A folder holds the graph (network.onnx or network.pt2), schedule.json and sample.py, which draws by these two alone.
"""

from ddpm.interop.graphs.writing import BOUND, FORMATS, apart, told, write_onnx, write_torch_export

__all__ = ["BOUND", "FORMATS", "apart", "told", "write_onnx", "write_torch_export"]
