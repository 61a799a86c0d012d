"""What a page may ask with: each ask has a class of its own, whose fields are checked before anything is computed."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddpm.explorer.subject import MOST
from ddpm.explorer.wire import NoAsk

Asked = TypeVar("Asked", bound="Parameters")
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Row = Annotated[int, Field(ge=0, lt=MOST)]
Step = Annotated[int, Field(ge=0, le=100_000)]
Array = dict[str, Any]
"""As `ddpm.explorer.wire.tensor` reads it."""


class Parameters(BaseModel):
    """Of an ask; unknown ones are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def parameters(kind: type[Asked], given: Mapping[str, Any]) -> Asked:
    """Read what the page sent.

    Raises:
        NoAsk: it is not what this ask takes.
    """
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the request"
        raise NoAsk(f"{where}: {first['msg']}") from error
