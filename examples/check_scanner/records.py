"""Stage 7, record: what is known goes into DynamoDB, once.

An upload's entry in ``audited`` is the only thing that ever changes::

    received ──► decided ──► done
                 mail: pending ──► sending ──► sent | failed      (or none, with nobody to tell)

Each arrow is a conditional write, so of any number of processes that handle the same upload, or
handle it again, one makes the step and the others find it made. ``received ──► decided`` is one
transaction with all the other tables: a deposit is never half on record, and never there twice.

A write whose answer is late is sent again by boto3, and the second finds the first one's work. So a
writer signs what it writes: ``decided_by`` and ``mail_by`` tell a process whether the one that made
the step was itself. (DynamoDB's ``ClientRequestToken`` does so for ten minutes, and for
transactions only.)
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from . import items
from .decide import duplicate, identity
from .items import DECIDED, DONE, PENDING, RECEIVED, SENDING, Item
from .reading import Field, Reading
from .receive import Upload
from .result import Findings, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Not which upload was first: that is its sender's business.
_TOLD_OF_A_DUPLICATE = "The same check was sent in before."


class Records:
    """The tables; ``dynamodb`` is a client that takes Python's types (see `services`)."""

    def __init__(self, dynamodb: "DynamoDBClient", prefix: str) -> None:
        self._dynamodb, self._prefix = dynamodb, prefix

    def receive(self, upload: Upload, now: float) -> Item:
        """Note that ``upload`` is here; its entry in ``audited``, however far it had come."""
        entry: Item = {
            "id": upload.id,
            "bucket": upload.bucket,
            "key": upload.key,
            "etag": upload.etag or "",
            "progress": RECEIVED,
            "received_at": items.iso(now),
        }
        try:
            self._dynamodb.put_item(
                TableName=self._prefix + "audited",
                Item=entry,
                ConditionExpression="attribute_not_exists(id)",
            )
        except ClientError as error:
            if not _lost(error):
                raise
            return self.get("audited", upload.id)
        return entry

    def decide(self, entry: Item, findings: Findings, by: str, now: float) -> Item:
        """Write everything down at once, if nobody else did; the entry as it is on record.

        Its ``decided_by`` is ``by`` if this call, or another one of the same name, decided. A check
        that another upload presented first goes to review, whatever ``findings`` say.
        """
        check = identity(findings.reading)
        if findings.verdict is None:
            raise ValueError("There is nothing to write down before there is a verdict.")
        verdict = findings.verdict
        presents = check is not None and verdict.state is not State.REJECTED
        while True:
            decided = {**entry, **items.decision(findings, verdict, by, items.iso(now))}
            writes = [self._move(decided), *self._puts(decided, findings)]
            if presents:
                writes.append(self._present(check or "", entry["id"]))
            try:
                self._dynamodb.transact_write_items(TransactItems=writes)
            except ClientError as error:
                lost = _lost_writes(error)
                if 0 in lost:
                    return self.get("audited", entry["id"])
                if len(writes) - 1 not in lost or not presents:
                    raise
                first = self.get("presented", check or "", key="check")
                verdict = replace(duplicate(first["id"]), told=_TOLD_OF_A_DUPLICATE)
                presents = False
            else:
                return decided

    def claim_mail(self, entry: Item, now: float, lease: float) -> bool:
        """Mark the mail as being sent; False if somebody else is sending it or has.

        Whoever began more than ``lease`` seconds ago is taken for dead. Each call has a name of its
        own, so a claim that is sent twice succeeds twice, and no other claim does.
        """
        return self._update(
            entry["id"],
            "SET mail = :sending, mail_at = :now, mail_by = :me",
            "mail = :pending OR (mail = :sending AND (mail_at < :dead OR mail_by = :me))",
            {
                ":pending": PENDING,
                ":sending": SENDING,
                ":now": int(now),
                ":dead": int(now - lease),
                ":me": uuid4().hex,
            },
        )

    def finish(self, entry: Item, mail: str) -> None:
        """Note that nothing is left to do, and what became of the mail."""
        self._update(
            entry["id"],
            "SET mail = :mail, progress = :done",
            "progress = :decided",
            {":mail": mail, ":done": DONE, ":decided": DECIDED},
        )

    def get(self, table: str, value: str, *, key: str = "id") -> Item:
        """Read one item, consistently; empty if there is none."""
        answer = self._dynamodb.get_item(
            TableName=self._prefix + table, Key={key: value}, ConsistentRead=True
        )
        return dict(answer.get("Item", {}))

    def reading(self, id: str) -> tuple[Reading | None, Field | None]:
        """What was read when the upload was decided, and the courtesy amount."""
        item = self.get("parsed", id)
        if not item:
            return None, None
        return items.reading(item["reading"]), items.field(item["courtesy"])

    def _update(
        self,
        id: str,
        update: str,
        condition: str,
        values: Item,
    ) -> bool:
        try:
            self._dynamodb.update_item(
                TableName=self._prefix + "audited",
                Key={"id": id},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if not _lost(error):
                raise
            return False
        return True

    def _move(self, decided: Item) -> Any:
        """``received`` ──► ``decided``: what the whole transaction hangs on."""
        return {
            "Put": {
                "TableName": self._prefix + "audited",
                "Item": decided,
                "ConditionExpression": "progress = :received",
                "ExpressionAttributeValues": {":received": RECEIVED},
            }
        }

    def _puts(self, decided: Item, findings: Findings) -> list[Any]:
        """What goes into the other tables."""
        id = decided["id"]
        rows = {decided["decision"]: items.outcome(decided, findings.reading)}
        if findings.copies:
            rows["archived"] = {"id": id, "bucket": decided["bucket"], "copies": findings.copies}
        if findings.reading is not None:
            rows["parsed"] = items.parsed(id, findings.reading, findings.courtesy)
        return [
            {"Put": {"TableName": self._prefix + table, "Item": item}}
            for table, item in rows.items()
        ]

    def _present(self, check: str, id: str) -> Any:
        return {
            "Put": {
                "TableName": self._prefix + "presented",
                "Item": {"check": check, "id": id},
                "ConditionExpression": "attribute_not_exists(#check)",
                "ExpressionAttributeNames": {"#check": "check"},
            }
        }


def _lost(error: ClientError) -> bool:
    """Whether a write was refused because of its condition."""
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


def _lost_writes(error: ClientError) -> set[int]:
    """Which writes of a transaction were refused because of their conditions."""
    reasons: list[Item] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return {
        index
        for index, reason in enumerate(reasons)
        if reason.get("Code") == "ConditionalCheckFailed"
    }
