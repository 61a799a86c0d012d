"""A network in arithmetic that gives the same bits everywhere: what a decoder elsewhere needs.

Sums are where machines differ: another number of threads, batch size or instruction set adds in another order, and rounds
otherwise. Here every sum is one of whole numbers, carried in float64 and below 2^53, or in int64: no order can change it.
One addition, product, division or square root is rounded alike by every machine that keeps to IEEE 754, and functions (SiLU,
the exponential) are looked up in tables. So `exact(network)` needs no luck: the tests run it in many configurations.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ddpm.errors import DataError

FRACTION = 14
"""Bits after the point of what enters a sum: activations are rounded to multiples of 2^-14."""
LARGEST = 10
"""... and kept within plus or minus 2^10."""
WHOLE = 52
"""Sums of whole numbers stay below 2^52, where float64 holds each of them."""
SILU, SOFTMAX = 13, 12
"""Bits after the point of an argument of SiLU and of softmax."""
REACH = 16
"""SiLU is x above 16 and 0 below -16; softmax gives nothing to what is 16 below the largest."""


AT_ONCE = 2**24
"""Numbers that a convolution has laid out at a time, at most: 128 MB."""


class NotExact(DataError):
    """The network does something for which there is no exact arithmetic here; it is named."""

    def __init__(self, what: str) -> None:
        super().__init__(f"not computed alike on every machine, as this codec asks: {what}")


def exact(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """(x_t, timestep) -> output in float64, the same to the bit on every machine, for every batch size.

    Nearly what the network gives: activations are rounded to 2^-14. Takes a few times as long. A network that was compiled is run
    as it was written.

    Raises:
        NotExact: at a call: the network uses an operation that is not listed here.
    """
    copied = _as_written(deepcopy(network)).double().eval().requires_grad_(requires_grad=False)
    weights: dict[int, tuple[Tensor, int]] = {}

    def run(x_t: Tensor, timestep: Tensor) -> Tensor:
        with torch.no_grad(), _Exact(weights):
            return copied(x_t.double(), timestep)

    return run


def _as_written(network: nn.Module) -> nn.Module:
    """Without `torch.compile`, by which whole or parts of it may have been wrapped: what is compiled has no operations to exchange."""

    def inside(module: Any) -> nn.Module:  # noqa: ANN401
        return getattr(module, "_orig_mod", module)

    for module in list(network.modules()):
        module._compiled_call_impl = None
        for name, child in module.named_children():
            setattr(module, name, inside(child))
    return inside(network)


class _Exact(TorchFunctionMode):
    """While active, operations of torch are the exact ones of this file, or refused."""

    def __init__(self, weights: dict[int, tuple[Tensor, int]]) -> None:
        super().__init__()
        self.weights = weights

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        del types
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in ("conv2d", "linear"):
            return self._weighted(name, *args, **given)
        if name in _SUMS:
            return _SUMS[name](*args, **given)
        if name in _FUNCTIONS:
            return _by_value(_FUNCTIONS[name], args[0])
        if name in _SINGLE and _alone(name, args, given):
            if given.get("dtype") == torch.float32:
                given["dtype"] = torch.float64
            return func(*_no_reciprocal(name, args), **given)
        if name == "float":
            return args[0].double()
        if name == "dropout" and not given.get("training", True):
            return args[0]
        raise NotExact(name)

    def _weighted(
        self,
        name: str,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,  # noqa: ANN401
        padding: Any = 0,  # noqa: ANN401
        dilation: Any = 1,  # noqa: ANN401
        groups: int = 1,
    ) -> Tensor:
        r"""A convolution or a dense layer: both a product of matrices. Weights have as many bits as leave the sums whole."""
        whole, bits = self._whole_weights(weight)
        x = x.double()
        if name == "linear":
            summed = on_lattice(x) @ whole.T
            return _with(summed * _power(-(FRACTION + bits)), bias)
        if groups != 1 or isinstance(padding, str) or set(_pair(dilation)) != {1}:
            raise NotExact("a convolution in groups, dilated, or padded by a name")
        (below, across), (up, left) = _pair(stride), _pair(padding)
        high, wide = weight.shape[2:]
        height = (x.shape[2] + 2 * up - high) // below + 1
        some = max(1, AT_ONCE // (x[0].numel() * high * wide))
        summed = [
            whole @ F.unfold(on_lattice(part), (high, wide), padding=(up, left), stride=(below, across))
            for part in x.split(some)
        ]
        found = torch.cat(summed).unflatten(2, (height, -1)) * _power(-(FRACTION + bits))
        return _with(found, None if bias is None else bias[:, None, None])

    def _whole_weights(self, weight: Tensor) -> tuple[Tensor, int]:
        """Those of a layer, made once."""
        if not isinstance(weight, nn.Parameter):  # one that is computed anew may lie where another lay
            return whole_weights(weight)
        if id(weight) not in self.weights:
            self.weights[id(weight)] = whole_weights(weight)
        return self.weights[id(weight)]


def whole_weights(weight: Tensor) -> tuple[Tensor, int]:
    """(outputs, inputs) whole numbers, and their bits after the point: 24, or fewer where the sums would not fit.

    Raises:
        NotExact: they are not finite, or so large that their sum is not known to the last digit.
    """
    coarse = (weight.detach().double().flatten(1) * 2.0**24).round()  # what is left of 2^-24 is of no account
    largest = coarse.abs().sum(1).max().item()
    if not largest < 2.0**WHOLE:  # NaN is not, either
        raise NotExact("weights that are not finite, or larger than any that are trained")
    most = int(largest).bit_length() - 24  # all rows sum to less than 2^most
    bits = min(24, WHOLE - FRACTION - LARGEST - most)
    return (coarse * _power(bits - 24)).round(), bits


def _alone(name: str, args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
    """Whether an operation that may work on each number by itself does so here, with one rounding."""
    if name in ("add", "sub", "__radd__", "rsub"):  # a + alpha b may be rounded once or twice
        return given.get("alpha", 1) == 1 and len(args) < 3
    if name in ("pow", "__pow__"):  # x x; other powers are the machine's
        return args[1] == 2
    if name == "interpolate":
        return given.get("mode", "nearest") == "nearest"
    if name == "arange":  # first + i step: a sum and a product
        return all(float(number).is_integer() for number in args)
    return True


def _no_reciprocal(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A number that is divided by, as a tensor: an accelerator multiplies by a number's reciprocal, which rounds twice."""
    if name in ("div", "true_divide", "__truediv__") and isinstance(args[1], int | float):
        return args[0], _over(args[1], args[0])
    return args


def _over(number: float, like: Tensor) -> Tensor:
    return torch.full((), number, dtype=torch.float64, device=like.device)


def _power(exponent: int) -> float:
    """2^exponent, which a machine's power need not be to the last digit."""
    return math.ldexp(1.0, exponent)


def on_lattice(x: Tensor, bits: int = FRACTION) -> Tensor:
    """Whole multiples of 2^-bits nearest to x, as whole numbers in float64, within plus or minus 2^`LARGEST`."""
    most = 2.0 ** (bits + LARGEST)
    return (x * 2.0**bits).round().clamp(-most, most)


def _with(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Mean and variance of whole numbers in int64; squares lose their last bits where that many would not fit."""
    whole = on_lattice(x).long().reshape(len(x), num_groups, -1)
    many = whole.shape[2]
    centre = (whole.sum(2, keepdim=True).double() / _over(many, x)).round().long()
    away = whole - centre
    spare = max(0, 2 * (FRACTION + LARGEST + 1) + many.bit_length() - 62)
    squares = ((away * away) >> spare).sum(2, keepdim=True).double() * _power(spare - 2 * FRACTION)
    normal = (away.double() * 2.0**-FRACTION / (squares / _over(many, x) + eps).sqrt()).reshape(x.shape)
    channels = (-1, *[1] * (x.ndim - 2))
    if weight is not None:
        normal = normal * weight.reshape(channels)
    return _with(normal, None if bias is None else bias.reshape(channels))


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """Two activations: each is rounded to as many bits below its largest as leave the sums whole."""
    if min(a.ndim, b.ndim) < 2:
        raise NotExact("a product with a vector")
    bits = (WHOLE - a.shape[-1].bit_length()) // 2
    (a, a_unit), (b, b_unit) = _block(a, bits), _block(b, bits)
    return (a @ b) * (a_unit * b_unit)


def _block(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers below 2^bits, and the power of two that they count; one for each matrix."""
    exponent = torch.frexp(x.double().abs().amax((-2, -1), keepdim=True)).exponent.long().clamp(min=-900)
    unit = ((exponent - bits + 1023) << 52).view(torch.float64)  # as float64 is written: no machine's power
    return (x / unit).round(), unit


def _silu(x: Tensor, **_inplace: bool) -> Tensor:
    step = 2.0**SILU
    place = (x.clamp(-REACH, REACH) * step).round().long() + REACH * 2**SILU
    return torch.where(x > REACH, x, silu_table().to(x.device)[place])


def _softmax(x: Tensor, dim: int = -1, dtype: object = None, **_layers: object) -> Tensor:
    del dtype
    below = ((x.amax(dim, keepdim=True) - x).clamp(max=REACH) * 2.0**SOFTMAX).round().long()
    weights = exp_table().to(x.device)[below]
    return weights / weights.sum(dim, keepdim=True)  # multiples of 2^-32 that add up to less than 2^21: exact


def _avg_pool(x: Tensor, *size: Any, **more: Any) -> Tensor:  # noqa: ANN401
    return F.avg_pool2d(on_lattice(x), *size, **more) * 2.0**-FRACTION


TABLES = {"silu": 3587969863, "exp": 1130856676}
"""CRC-32 of the tables: the rounding leaves a margin over any library's error (tested), so a difference is a broken one."""


@lru_cache(maxsize=1)
def silu_table() -> Tensor:
    """SiLU at multiples of 2^-13 from -16 to 16, to 2^-20."""
    x = np.arange(-REACH * 2**SILU, REACH * 2**SILU + 1) * 2.0**-SILU
    return _checked("silu", np.rint(x / (1 + np.exp(-x)) * 2.0**20) * 2.0**-20)


@lru_cache(maxsize=1)
def exp_table() -> Tensor:
    """exp(-x) at multiples of 2^-12 from 0 to 16, to 2^-32."""
    x = np.arange(REACH * 2**SOFTMAX + 1) * 2.0**-SOFTMAX
    return _checked("exp", np.rint(np.exp(-x) * 2.0**32) * 2.0**-32)


def _checked(name: str, table: Float64[np.ndarray, " values"]) -> Tensor:
    """By numpy's exponential, in one thread: torch's first one in a process, by two threads, was wrong once in fourteen."""
    if zlib.crc32(table.tobytes()) != TABLES[name]:
        raise NotExact(f"the table of {name}: this machine's exponential errs by more than 1e-14")
    return torch.from_numpy(table)


def _by_value(function: Callable[[Decimal], Decimal], x: Tensor) -> Tensor:
    """A function of few different numbers (the sinusoids of a timestep), computed in 50 digits and rounded once."""
    values, places = torch.unique(x.double(), return_inverse=True)
    with localcontext(Context(prec=50, rounding=ROUND_HALF_EVEN, traps=[])):
        found = [float(function(Decimal(value))) for value in values.tolist()]
    return torch.tensor(found, dtype=torch.float64, device=x.device)[places]


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def _sine(x: Decimal) -> Decimal:
    """The Taylor series, of x less whole turns."""
    x = x % (2 * PI)
    total, term, n = Decimal(0), x, 1
    while abs(term) > Decimal("1e-40"):
        total, n = total + term, n + 2
        term = -term * x * x / (n * (n - 1))
    return total


_FUNCTIONS: Mapping[str, Callable[[Decimal], Decimal]] = {
    "exp": Decimal.exp,
    "sin": _sine,
    "cos": lambda x: _sine(x + PI / 2),
}
_SUMS: Mapping[str, Callable[..., Tensor]] = {
    "group_norm": _group_norm,
    "matmul": _matmul,
    "__matmul__": _matmul,
    "silu": _silu,
    "softmax": _softmax,
    "avg_pool2d": _avg_pool,
}
_SINGLE = frozenset(
    [
        "__get__",
        "dim",
        "size",
        "__getitem__",
        "__len__",
        "reshape",
        "view",
        "flatten",
        "unflatten",
        "transpose",
        "permute",
        "contiguous",
        "chunk",
        "split",
        "cat",
        "stack",
        "pad",
        "interpolate",
        "expand",
        "unsqueeze",
        "squeeze",
        "to",
        "double",
        "long",
        "clone",
        "detach",
        "arange",
        "full",
        "zeros",
        "zeros_like",
        "ones",
        "tensor",
        "type",
        "add",
        "sub",
        "mul",
        "div",
        "true_divide",
        "neg",
        "clamp",
        "where",
        "eq",
        "ge",
        "gt",
        "le",
        "lt",
        "relu",
        "embedding",
        "__add__",
        "__radd__",
        "__iadd__",
        "__sub__",
        "__rsub__",
        "rsub",
        "__mul__",
        "__rmul__",
        "__imul__",
        "__truediv__",
        "__rtruediv__",
        "__neg__",
        "pow",
        "__pow__",
        "__ge__",
        "__gt__",
        "__le__",
        "__lt__",
        "__eq__",
        "repeat",
        "broadcast_tensors",
        "is_floating_point",
        "numel",
    ]
)
"""What moves numbers, or rounds each by itself."""
