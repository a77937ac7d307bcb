"""A client of someone's scheduler, or the reason why there is none."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, Security
from distributed import comm as dask_comm
from distributed.comm.addressing import parse_address
from distributed.comm.registry import get_backend
from distributed.utils import import_term

from dlsort_cluster.exchange import ExchangeError

__all__ = ["SchedulerUnreachableError", "fault_of", "reach"]

_NO_ANSWER = "no Dask scheduler answered"
_SILENT = "no answer"
_BY_PORT = ("tcp", "tls", "ucx", "ws", "wss")  # others have addresses of their own
_SETTINGS = "Dask's distributed.comm.tls (ca-file, client.cert, client.key)"


class SchedulerUnreachableError(ExchangeError):
    """No scheduler answered at the address that was given, or it would not have this client."""


def fault_of(address: str) -> str | None:
    """Return what makes a text no address that a scheduler could have, or None.

    Examples
    --------
    >>> fault_of("tcp://host"), fault_of("host:8786")
    ('which has no port', None)
    """
    scheme, place = parse_address(address)
    try:
        get_backend(scheme)
    except ValueError:
        return f"whose {scheme}:// Dask does not know"
    if scheme not in _BY_PORT:
        return None
    host, colon, port = place.partition("/")[0].rpartition(":")
    if not colon or place.endswith("]"):
        return "which has no port"
    if ":" in host and not host.endswith("]"):
        return "which has an IPv6 address without brackets"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        return "whose port is no number from 1 to 65535"
    return None


def reach(address: str, timeout_s: float) -> Client:
    """Return a client of the scheduler at an address, with the certificates that Dask is told.

    One that is there and does not answer within ``timeout_s``, as it is busy, is waited for
    as long as Dask's own clients do (``distributed.comm.timeouts.connect``).

    Raises
    ------
    SchedulerUnreachableError
        If there is none, or one side does not trust the other.
    """
    if (fault := fault_of(address)) is not None:
        msg = (
            f"{address!r}, {fault}, is no address of a Dask scheduler; expected one such as "
            "tcp://host:8786."
        )
        raise SchedulerUnreachableError(msg)
    try:
        return _reach(address, timeout_s)
    except SchedulerUnreachableError as error:
        patience_s = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
        if not _is_silent(error) or patience_s <= timeout_s:
            raise
    return _reach(address, patience_s)


def _is_silent(error: SchedulerUnreachableError) -> bool:
    """Return whether something is there, which has neither refused nor said anything wrong."""
    told = str(error)
    is_there = told.startswith(_NO_ANSWER) and "(connection refused)" not in told
    return is_there and any(isinstance(cause, TimeoutError) for cause in _causes(error))


def _reach(address: str, timeout_s: float) -> Client:
    try:
        security = _security(address)
        # A client that can't connect leaves its thread behind, and one of anything but a
        # scheduler can't be closed, so knock first; and in a thread, because the caller's may
        # have a loop (a notebook).
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, _knock(address, timeout_s, security)).result()
        return Client(address, timeout=timeout_s, security=security, set_as_default=False)
    except Exception as error:  # what answers there may send anything
        distrust = _distrust(address, error, timeout_s)
        if distrust is not None:
            msg = f"no connection to the Dask scheduler at {address!r}: {distrust}."
        else:
            why = _reason(error)
            within = f" within {timeout_s:g} s" if why == _SILENT else ""
            msg = (
                f"{_NO_ANSWER} at {address!r}{within} ({why}). Start one with `dask scheduler`,"
                ' or sort on this machine with scheduler="embedded" (--scheduler embedded).'
            )
        raise SchedulerUnreachableError(msg) from error


def _security(address: str) -> Security:
    """Return what Dask's own client would use: its settings, or what they have loaded."""
    loader = dask.config.get("distributed.client.security-loader", None)
    found = import_term(loader)({"address": address}) if loader else None
    return Security() if found is None else found


async def _knock(address: str, timeout_s: float, security: Security) -> None:
    settings = security.get_connection_args("client")
    async with asyncio.timeout(timeout_s):
        # It ends a little sooner by itself, and then knows why.
        connecting: Any = dask_comm.connect  # type: ignore[attr-defined]
        comm = await connecting(address, timeout=0.8 * timeout_s, deserialize=False, **settings)
        try:
            await comm.write({"op": "identity", "reply": True})
            who = await comm.read()
        except BaseException:
            comm.abort()
            raise
    await comm.close()
    if who["type"] in ("Worker", "Nanny"):
        kind = who["type"].lower()
        msg = f"what answers there is a Dask {kind}; give its scheduler's address"
        raise ValueError(msg)
    if "workers" not in who:
        raise TypeError(who)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _distrust(address: str, error: BaseException, timeout_s: float) -> str | None:
    """Say which side of a TLS connection does not trust the other and what to set, or None."""
    causes = list(_causes(error))
    told = " ".join(map(str, causes))
    if "encryption required" in told:
        return (
            "its address is not encrypted, and Dask is set to require that "
            "(distributed.comm.require-encryption); give its tls:// address"
        )
    is_tls = address.startswith("tls://")
    if is_tls and (unusable := _unusable_files(address)) is not None:
        return unusable
    if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes):
        return (
            "its certificate is not signed by the authority of distributed.comm.tls.ca-file; "
            "set the one that it was signed by"
        )
    if isinstance(error, TimeoutError):
        return None
    # Who hangs up over a certificate, or over TLS as such, need not say so.
    speaks_tls = _speaks_tls(address, timeout_s)
    if speaks_tls is None:
        return None
    if not is_tls:
        if not speaks_tls:
            return None
        return f"it expects TLS; give its tls:// address and set {_SETTINGS}"
    if not speaks_tls:
        return "it does not speak TLS; if it is to be trusted, give its tcp:// address"
    return (
        "it does not accept the certificate of distributed.comm.tls.client.cert; "
        "use one that its own authority has signed"
    )


def _unusable_files(address: str) -> str | None:
    """Say what is wrong with the certificates of this side, or None."""
    missing = [path for path in _certificate_files() if not path.is_file()]
    if missing:
        return f"there is no file {missing[0]}, which Dask's settings name for TLS"
    try:
        settings = _security(address).get_connection_args("client")
    except Exception as error:  # what loads them may raise anything
        return f"the certificates for it can't be used ({error}); look at {_SETTINGS}"
    if settings["ssl_context"] is None:
        return f"a tls:// address needs certificates; set {_SETTINGS}"
    return None


def _certificate_files() -> list[Path]:
    """Return the files that the settings name; a certificate itself has several lines."""
    names = ("ca-file", "client.cert", "client.key")
    told = (dask.config.get(f"distributed.comm.tls.{name}", None) for name in names)
    return [Path(value) for value in told if value and "\n" not in value]


def _speaks_tls(address: str, timeout_s: float) -> bool | None:
    """Return whether something answers an encrypted greeting, or None if nothing is there."""
    host, _, port = address.partition("://")[2].rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        plain = socket.create_connection((host.strip("[]"), int(port)), timeout_s)
    except (OSError, ValueError):
        return None
    with plain:
        try:
            with context.wrap_socket(plain):
                return True
        except TimeoutError:
            return None
        except OSError as error:
            # an alert is TLS too: it wants a certificate of ours
            return "ALERT" in str(error).upper()


def _reason(error: BaseException) -> str:
    """Say why nobody answered, without the names of what tried."""
    causes = list(_causes(error))
    if any(
        isinstance(cause, ConnectionRefusedError) or "refused" in str(cause) for cause in causes
    ):
        return "connection refused"
    # Dask's own is no TimeoutError.
    if isinstance(error, TimeoutError) or str(error).startswith("Timed out trying to connect"):
        return _SILENT
    for cause in causes:
        if isinstance(cause, ValueError):
            return str(cause).splitlines()[0].rstrip(".")
        if isinstance(cause, socket.gaierror):
            return "unknown host"
    return "what answers there is not a Dask scheduler"
