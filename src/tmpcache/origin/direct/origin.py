"""S3 without boto3, in the plain case: a question takes an eighth of the time, a first one a third.

The request is signed here (:mod:`.sigv4`) and sent over a connection that is kept
(:mod:`.connections`), to where and as whom boto3 would have asked (:mod:`.endpoint`). Everything
that is not plain is boto3's, by inheritance: listing, uploads, special buckets, options and
credentials. So is every question as long as somebody has a hand on botocore (:mod:`.hooks`). An
answer that is not understood is asked for again through boto3; if that succeeds, the bucket stays
with it.

Who asks is decided once, with the first question, and again after `close` and in a forked child.
The boto3 client of the same origin gets the same endpoint and keys, whatever the environment says
by then.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial

from ...common.interruption import raise_if_interrupted
from .. import Reply, Unchanged
from ..hooks import hook
from ..s3 import parameters, timeouts
from ..s3.errors import (
    LATER,
    RefusalError,
    named,
    refuses_condition,
    status_of,
    translated,
)
from ..s3.origin import S3Origin
from ..s3.timeouts import read_timeout
from .body import _reply_from
from .refusals import NotUnderstoodError, _refusal
from .request import _Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...common.deadline import Deadline
    from ..endpoint import Endpoint
    from ..s3.signing import Signer
    from .connections import Answer, Connections
    from .sigv4 import Signature

#: Seconds before another try at most; the first pause is up to one, and each further one longer.
_LONGEST_PAUSE = 20.0
#: Statuses after which botocore asks again, and codes, whatever the status.
_AGAIN = (429, 500, 502, 503, 504, 509)
_AGAIN_CODES = LATER | {"BadDigest"}


class DirectOrigin(S3Origin):
    """Objects in S3 as the environment describes it, asked for directly where that is plain."""

    def __init__(self, request_options: Mapping[str, str] | None = None) -> None:
        #: Where and as whom; None if that is boto3's to know, or not decided yet.
        self._endpoint: Endpoint | None = None
        self._is_decided = False
        self._connections: Connections | None = None
        self._signature: Signature | None = None
        self._option_headers: dict[str, str] = {}
        #: Host and path of each bucket; None: boto3 asks.
        self._places: dict[str, tuple[str, str] | None] = {}
        #: What was logged last.
        self._said = ""
        super().__init__(None, request_options)

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        if_none_match: str = "",
        if_match: str = "",
        start: int = 0,
        end: int | None = None,
        deadline: Deadline | None = None,
    ) -> Reply | Unchanged:
        """One GetObject."""
        ask_boto3 = partial(
            super().get,
            bucket,
            key,
            version_id,
            if_none_match=if_none_match,
            if_match=if_match,
            start=start,
            end=end,
            deadline=deadline,
        )
        place = self._place(bucket)
        if place is None:
            return ask_boto3()
        headers = {"host": place[0], "x-amz-checksum-mode": "ENABLED", **self._option_headers}
        if if_none_match:
            headers["if-none-match"] = if_none_match
        if if_match:
            headers["if-match"] = if_match
        whole = not start and end is None
        if not whole:
            headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if not (text := "".join(headers.values())).isascii() or not text.isprintable():
            return ask_boto3()
        from .connections import UnknownAnswerError
        from .sigv4 import in_query, path_of

        path = f"{place[1]}/{path_of(key)}"
        query = f"versionId={in_query(version_id)}" if version_id else ""
        question = _Question((bucket, key, version_id), path, query, headers, deadline)
        told = self._settled
        try:
            answer = self._ask_patiently(question)
        except (UnknownAnswerError, NotUnderstoodError) as error:
            raise_if_interrupted(error)
            reply = ask_boto3()
            self._places[bucket] = None
            self._say(f"boto3 for s3://{bucket}", str(error))
            return reply
        if answer is None:
            return Unchanged(told)
        reply = _reply_from(answer, question, whole=whole)
        reply.scope = told
        if if_none_match and reply.etag == if_none_match:  # a store that says 200 for 304
            reply.body.close()
            return Unchanged(told)
        return reply

    def close(self) -> None:
        """Close connections, boto3's too."""
        super().close()
        self._undecide()

    def forked(self) -> None:
        """In a child: connections are the parent's, who may have been somebody else."""
        super().forked()
        self._undecide()

    def _undecide(self) -> None:
        connections, self._connections = self._connections, None
        self._is_decided, self._endpoint = False, None
        self._settled = self._settled_name = None
        self._places = {}
        if connections is not None:
            connections.close()

    def _signing(self) -> Signer:
        """The client in use: who it is was decided with the first question, whoever asked it."""
        if self._pid != os.getpid():
            self.forked()
        if not self._is_decided:
            self._decide(hook())
        return super()._signing()

    def _make_client(self) -> Any:
        from ..s3.client import make_client

        return make_client(self._endpoint)

    def _place(self, bucket: str) -> tuple[str, str] | None:
        """The host to ask for a bucket's objects, and the bucket's path; None if boto3 asks."""
        if self._pid != os.getpid():
            self.forked()
        hooked = hook()
        if not self._is_decided:
            self._decide(hooked)
        if hooked or self._endpoint is None:
            if hooked:
                self._say("boto3", hooked)
            return None
        try:
            return self._places[bucket]
        except KeyError:
            self._places[bucket] = place = self._place_of(self._endpoint, bucket)
            return place

    def _place_of(self, endpoint: Endpoint, bucket: str) -> tuple[str, str] | None:
        from ..endpoint import NotPlainError

        try:
            return endpoint.address(bucket)
        except NotPlainError as reason:
            self._say(f"boto3 for s3://{bucket}", str(reason))
            return None

    def _decide(self, hooked: str) -> None:
        """Find out where and as whom to ask, for good; or that this is boto3's to know."""
        from ..configuration import resolve
        from ..endpoint import NotPlainError

        with self._lock:
            if self._is_decided:
                return
            headers = parameters.as_headers(self._options)
            reason = hooked or ("" if headers is not None else "the request options")
            if not reason and headers is not None:
                try:
                    endpoint = resolve()
                except NotPlainError as why:
                    reason = str(why)
                else:
                    self._follow(endpoint, headers)
            self._is_decided = True
        self._say("boto3" if reason else "direct", reason or "all is plain")

    def _follow(self, endpoint: Endpoint, headers: dict[str, str]) -> None:
        from .connections import Connections
        from .sigv4 import Signature

        self._option_headers = headers
        self._connections = Connections(endpoint)
        self._signature = Signature(endpoint.keys, endpoint.region)
        self._settled = self._scope_of(endpoint.name, endpoint.keys)
        self._settled_name = endpoint.name
        self._endpoint = endpoint

    def _say(self, which: str, why: str) -> None:
        """One line for whoever listens; importing logging takes 3 ms."""
        if "logging" in sys.modules and self._said != (
            line := f"S3 is asked through {which}: {why}"
        ):
            self._said = line
            sys.modules["logging"].getLogger("tmpcache").debug("%s", line)

    def _ask_patiently(self, question: _Question) -> Answer | None:
        """The answer, its body still to come; None if the object is still what it was."""
        tries = 0
        while True:
            try:
                answer = self._ask_once(question)
                if answer.status in (200, 206):
                    return answer
                if answer.status == 304 and "if-none-match" in question.headers:
                    return None
                raise _refusal(answer)
            except (OSError, RefusalError) as error:
                raise_if_interrupted(error)
                if refuses_condition(error, *question.conditions()):
                    question.drop_conditions()
                    continue
                tries += 1
                pause = self._pause(error, question, tries)
            time.sleep(pause)

    def _ask_once(self, question: _Question) -> Answer:
        """Send the request over a kept connection; over a new one if that turns out to be dead."""
        connections, signature = self._connections, self._signature
        if connections is None or signature is None:
            raise NotUnderstoodError("closed meanwhile")
        host, timeout = question.headers["host"], read_timeout(question.deadline)
        kept = connections.kept(host)
        if kept is not None:
            try:
                return kept.ask(question.signed(signature), timeout)
            except OSError as error:
                raise_if_interrupted(error)
                if isinstance(error, TimeoutError) or not kept.is_unheard:
                    raise
        connection = connections.connect(host, min(timeout, timeouts.CONNECT_TIMEOUT))
        return connection.ask(question.signed(signature), timeout)

    def _pause(self, error: Exception, question: _Question, tries: int) -> float:
        """Seconds until the next try, as botocore would wait, or the error that ends it.

        No name here holds that error: its frames would hold what the caller is about to let go of.
        """
        deadline, status = question.deadline, status_of(error)
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        most = 1 if self._endpoint is None else self._endpoint.tries
        if deadline is not None and (not status or status >= 500):
            if deadline.asks_once:
                most = 1
            elif deadline.remaining() < timeouts.RETRY_NEEDS:
                raise deadline.exceeded(named(question.subject)) from error
        again = not status or status in _AGAIN or code in _AGAIN_CODES
        if not again or tries >= most:
            raise translated(error, question.subject, scope=self._settled) from error
        from random import random

        pause: float = min(random() * 2 ** (tries - 1), _LONGEST_PAUSE)
        if deadline is not None:
            deadline.check(named(question.subject), needed=pause)
        return pause
