"""Exceptions, in the words and codes of the contract."""

import errno

from ddpm.errors import CannotCreate, Failure, Interrupted, NotFound, OutOfResources, StorageError

ERRNO = {
    **dict.fromkeys((errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG), StorageError),
    **dict.fromkeys((errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN), OutOfResources),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG), CannotCreate
    ),
    errno.ENOENT: NotFound,
}
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


def explained(error: BaseException, output: str = "output") -> Failure | None:
    """The failure that an exception stands for (writing to `output`, if it names no file), or None if it is our bug."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY):
        return OutOfResources(f"out of memory: {error}", "a smaller --batch-size, or --set training.accumulate=2")
    if isinstance(error, OSError) and error.errno in ERRNO:
        return ERRNO[error.errno](f"{error.strerror}: {error.filename or output}")
    return None
