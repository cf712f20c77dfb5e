"""Stores behind a URL (``s3://``, ``gs://``, ``memory://`` ...): read there, by whatever fsspec has for the scheme.

They are read as stores on a disk are, against the same digests and checksums. They are not written: that a run is the
only writer of a store, that a block is there whole or not at all and that a run goes on where it ended rest on renames
and times of a file system, which object stores do not have.

Credentials and endpoints are fsspec's own to find: in the environment (``AWS_PROFILE``, ``FSSPEC_S3_ENDPOINT_URL`` ...)
and in its configuration files, on the client and on the workers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, cast

from maladist.errors import DependencyError, InputError

_IN_A_PATH: Final = re.compile(r"(?:^|/)([a-z][a-z0-9+]+):/+(.*)$")
"""A URL in a path's text: pathlib has made one slash of the two, and an absolute path begins with the folder."""


_FILE: Final = "file://"
"""Scheme of what lies on a disk of this machine: a path, whatever number of slashes is left of its three."""


@dataclass(frozen=True)
class URL:
    """A store behind a URL, or a part of one, with those of `pathlib.Path`'s methods that readers of stores ask.

    Attributes
    ----------
    url
        URL, without a slash in the end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> URL:
        return URL(f"{self.url}/{name}".rstrip("/"))

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.url.rpartition("/")[2]

    def joinpath(self, *names: str) -> URL:
        """What lies below it."""
        return URL("/".join((self.url, *names)))

    def resolve(self) -> URL:
        """Itself: a URL is the same from everywhere."""
        return self

    def exists(self) -> bool:
        """Whether there is anything."""
        system, path = self._there()
        return bool(system.exists(path))

    def is_dir(self) -> bool:
        """Whether it is a group or an array; folders an object store has none."""
        return (self / "zarr.json").exists()

    def is_file(self) -> bool:
        """Whether it is a file."""
        system, path = self._there()
        return bool(system.isfile(path))

    def glob(self, pattern: str) -> Iterator[URL]:
        """What lies below it and has names of a pattern."""
        system, path = self._there()
        system.invalidate_cache()  # what lies there may have come since it was last listed
        return (URL(str(system.unstrip_protocol(found))) for found in system.glob(f"{path}/{pattern}"))

    def read_text(self) -> str:
        """Content of a file."""
        system, path = self._there()
        return cast(bytes, system.cat_file(path)).decode()

    def open(self, mode: str = "rb") -> IO[Any]:
        """A file, opened."""
        system, path = self._there()
        return cast("IO[Any]", system.open(path, mode))

    def version(self) -> str:
        """What a file is known by, another one for each time that it was written."""
        system, path = self._there()
        return str(system.ukey(path))

    def _there(self) -> tuple[Any, str]:
        """The file system of its scheme, and its path there.

        Raises
        ------
        InputError
            A scheme that fsspec does not know.
        DependencyError
            A scheme whose package is not installed.
        """
        import fsspec  # here: most runs have no URL

        scheme = self.url.partition(":")[0]
        try:
            return cast(tuple[Any, str], fsspec.url_to_fs(self.url))
        except ValueError as error:
            raise InputError("store", f"{self.url} ({error})", "a path, or a URL such as s3://BUCKET/NAME") from error
        except ImportError as error:
            wanted = f"fsspec's package for {scheme}:// (s3fs, gcsfs, adlfs, ...)"
            raise DependencyError("store", f"{self.url} ({error})", wanted) from error


Place: TypeAlias = Path | URL
"""Where a store is read."""


def url_of(path: object) -> str | None:
    """The URL that a text or a path names; None where it names a place on a file system."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
    found = _IN_A_PATH.search(text)
    # pathlib has eaten a slash of `Path("s3://...")`; a folder that is called so is a folder.
    if found is None or ("://" not in text and Path(text[: found.start(2)]).exists()):
        return None
    return f"{found[1]}://{found[2]}".rstrip("/")


def place(path: str | os.PathLike[str] | URL) -> Place:
    """Where a store is, of what a user or a program calls it."""
    if isinstance(path, URL):
        return path
    url = url_of(path)
    if url is not None and url.startswith(_FILE):
        return Path("/" + url.removeprefix(_FILE))
    return Path(path) if url is None else URL(url)


def refuse_url(path: object, argument: str, wanted: str, remedy: str) -> None:
    """Refuse a URL where only a file system does.

    Raises
    ------
    InputError
        It is one.
    """
    if (url := url_of(path)) is not None:
        raise InputError(argument, f"the URL {url}", wanted, remedy)
