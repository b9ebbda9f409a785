"""The tables: what is in each, and how to make them where no template has.

============= ================================================================================
``audited``   every upload, by its id: which object, how far it has come, what was decided
``archived``  where its original and its copies are
``parsed``    what was read off it
``processed`` instructions to deposit: nothing else is one
``review``    uploads that wait for a person, and why
``rejected``  uploads that nobody can deposit as they are, and why
``presented`` every check that was read (routing/account/serial), and the upload that was first
============= ================================================================================

The first three and ``processed`` and ``rejected`` are those of openchecks. An upload is in exactly
one of ``processed``, ``review`` and ``rejected``, once it is decided.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: Table by table, the name of its key (a string).
KEYS = {
    "audited": "id",
    "archived": "id",
    "parsed": "id",
    "processed": "id",
    "review": "id",
    "rejected": "id",
    "presented": "check",
}


def create(dynamodb: "DynamoDBClient", prefix: str) -> None:
    """Make all tables, each named ``prefix`` + its name, and wait until they can be used."""
    for name, key in KEYS.items():
        dynamodb.create_table(
            TableName=prefix + name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    for name in KEYS:
        dynamodb.get_waiter("table_exists").wait(TableName=prefix + name)
