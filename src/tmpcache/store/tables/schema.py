"""The tables of the index, and the triggers that update what is derived from them."""

from __future__ import annotations

#: Validations kept for one object, one for each scope, the newest: a role's credentials change
#: every few hours, and each new set is a new scope.
SCOPES_KEPT = 8

# `superseded`: no object refers to the blob any more. `boot`: the boot during which the blob was
# last known to be whole. `sha256`: of the content, if a caller has asked for that.
# `ledger.changes`: see :mod:`..changes`. The triggers update the rest of `ledger`, and
# `superseded`, in the same transaction as what they are derived from.
SCHEMA = (
    """CREATE TABLE blobs (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
        allocated INTEGER NOT NULL, inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        used_at REAL NOT NULL, superseded INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL,
        sha256 TEXT)""",
    "CREATE INDEX blobs_by_use ON blobs (superseded DESC, used_at)",
    """CREATE TABLE objects (
        id INTEGER PRIMARY KEY, origin TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
        version TEXT NOT NULL, etag TEXT NOT NULL, version_id TEXT, received_at REAL NOT NULL,
        used_at REAL NOT NULL, blob INTEGER NOT NULL, UNIQUE (bucket, key, version, origin))""",
    "CREATE INDEX objects_by_blob ON objects (blob)",
    "CREATE INDEX objects_by_use ON objects (used_at)",
    """CREATE TABLE validations (
        object INTEGER NOT NULL, scope TEXT NOT NULL, validated_at REAL NOT NULL,
        PRIMARY KEY (object, scope)) WITHOUT ROWID""",
    # Filled and emptied by :mod:`..staged_copies`: one row is a new copy with its validation.
    """CREATE TABLE staged (
        bucket TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL, origin TEXT NOT NULL,
        etag TEXT NOT NULL, version_id TEXT, received_at REAL NOT NULL, scope TEXT,
        name TEXT NOT NULL, size INTEGER NOT NULL, allocated INTEGER NOT NULL,
        inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, used_at REAL NOT NULL,
        boot TEXT NOT NULL, PRIMARY KEY (bucket, key, version, origin)) WITHOUT ROWID""",
    # `islands` are the islands of a partial file, see :mod:`..downloads.islands`.
    """CREATE TABLE partials (
        name TEXT PRIMARY KEY, reserved INTEGER NOT NULL, etag TEXT, size INTEGER, checksum TEXT,
        received INTEGER, digest TEXT, islands TEXT, inode INTEGER, boot TEXT)
        WITHOUT ROWID""",
    # From `since` on: see :mod:`..statistics`. In one table, as every transaction writes its page.
    """CREATE TABLE ledger (
        blobs INTEGER NOT NULL, bytes INTEGER NOT NULL, boot TEXT NOT NULL,
        changes INTEGER NOT NULL,
        since REAL NOT NULL, quota INTEGER NOT NULL DEFAULT 0, hits INTEGER NOT NULL DEFAULT 0,
        revalidated INTEGER NOT NULL DEFAULT 0, stale INTEGER NOT NULL DEFAULT 0,
        fetched INTEGER NOT NULL DEFAULT 0, asked INTEGER NOT NULL DEFAULT 0,
        bytes_fetched INTEGER NOT NULL DEFAULT 0, bytes_saved INTEGER NOT NULL DEFAULT 0,
        evicted INTEGER NOT NULL DEFAULT 0, evicted_bytes INTEGER NOT NULL DEFAULT 0,
        damaged INTEGER NOT NULL DEFAULT 0)""",
    """INSERT INTO ledger (blobs, bytes, boot, changes, since)
        VALUES (0, 0, '', 0, strftime('%s', 'now'))""",
    """CREATE TRIGGER blob_added AFTER INSERT ON blobs BEGIN
        UPDATE ledger SET blobs = blobs + 1, bytes = bytes + NEW.allocated;
    END""",
    """CREATE TRIGGER blob_replaced AFTER UPDATE OF allocated ON blobs BEGIN
        UPDATE ledger SET bytes = bytes + NEW.allocated - OLD.allocated;
    END""",
    """CREATE TRIGGER blob_gone AFTER DELETE ON blobs BEGIN
        UPDATE ledger SET blobs = blobs - 1, bytes = bytes - OLD.allocated;
        DELETE FROM objects WHERE blob = OLD.id;
    END""",
    """CREATE TRIGGER object_added AFTER INSERT ON objects BEGIN
        UPDATE blobs SET superseded = 0 WHERE id = NEW.blob AND superseded;
    END""",
    """CREATE TRIGGER object_replaced AFTER UPDATE OF blob ON objects WHEN OLD.blob <> NEW.blob
    BEGIN
        UPDATE blobs SET superseded = 0 WHERE id = NEW.blob AND superseded;
        UPDATE blobs SET superseded = 1 WHERE id = OLD.blob
            AND NOT EXISTS (SELECT 1 FROM objects WHERE blob = OLD.blob);
    END""",
    """CREATE TRIGGER object_changed AFTER UPDATE OF etag ON objects WHEN OLD.etag <> NEW.etag BEGIN
        DELETE FROM validations WHERE object = NEW.id;
    END""",
    f"""CREATE TRIGGER validation_added AFTER INSERT ON validations
    WHEN (SELECT count(*) FROM validations WHERE object = NEW.object) > {SCOPES_KEPT} BEGIN
        DELETE FROM validations WHERE object = NEW.object AND scope NOT IN (
            SELECT scope FROM validations WHERE object = NEW.object
            ORDER BY scope = NEW.scope DESC, validated_at DESC LIMIT {SCOPES_KEPT});
    END""",
    """CREATE TRIGGER object_gone AFTER DELETE ON objects BEGIN
        DELETE FROM validations WHERE object = OLD.id;
        UPDATE blobs SET superseded = 1 WHERE id = OLD.blob
            AND NOT EXISTS (SELECT 1 FROM objects WHERE blob = OLD.blob);
    END""",
)
