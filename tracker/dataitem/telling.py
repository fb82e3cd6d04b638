"""Errors of the libraries behind the schemes, told by the place they are about: its name, what happened, and nothing that is secret."""

import errno
import os

_NUMBERS: dict[type[Exception], int] = {
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
    PermissionError: errno.EACCES,
    FileExistsError: errno.EEXIST,
}


def named(error: OSError, url: str, text: str, mode: str) -> OSError:
    """The error of the same kind that names the URL; `text` is what else is known of it, "" for nothing but an absence."""
    if error.filename == url:
        return error
    if isinstance(error, FileNotFoundError) and not text:
        return FileNotFoundError(errno.ENOENT, "there is no such file" if "r" in mode else "there is no such place", url)
    number = error.errno or next((number for kind, number in _NUMBERS.items() if isinstance(error, kind)), None)
    if number is not None and type(error).__module__ == "builtins":
        return OSError(number, error.strerror or os.strerror(number), url)  # which makes the class that goes with the number
    return OSError(f"{url}: {text or type(error).__name__}")


def words_of(error: BaseException) -> str:
    """What happened, without the URL that some libraries repeat; "" for nothing but an absence."""
    cause = error
    if isinstance(error, FileNotFoundError):  # fsspec's word for everything that keeps a web server from telling a size
        if error.__cause__ is None or not type(error.__cause__).__module__.startswith("aiohttp"):
            return ""
        cause = error.__cause__
    status = getattr(cause, "status", None)
    if isinstance(status, int):
        return "" if status in (404, 410) else f"{status} {getattr(cause, 'message', '')}"
    return str(getattr(cause, "os_error", cause))
