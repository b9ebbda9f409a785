"""Downloads: from the download lock of an object to its published blob.

A download writes to the file ``partial/<object id>``. That file is three things at once: the
content, the download lock (``flock``), and the reservation (its row in ``partials`` tells how many
bytes of the quota are set aside for it).

1. :func:`.download_lock.acquire` creates or opens the file and locks it. Another process that wants
   the object waits for the lock. If the file was published meanwhile, the waiter locks a new one at
   the path, and looks the object up again.
2. :meth:`.partial_file.Partial.begin` reserves bytes of the quota, `write` receives the content.
3. :func:`.publish.publish` renames the file into ``blobs/`` and records it, in one transaction.
4. :meth:`.downloads.Downloads.end` removes the file if it was not published, or keeps it.

# Crash safety

The kernel drops the lock with its process. The lock only saves work: if it cannot be had in time, a
download gets a private partial file, and two downloads of one object do no harm.

A download that is killed, runs out of time or loses its origin is resumed by the next download of
the object, in whatever process:

* *Recorded*: every 8 MiB, and when the download ends with an error that allows it,
  :meth:`.partial_file.Partial.record_progress` records ETag, size, checksum, the byte count
  received from the start, its hash, and the islands, in the file's row.
* *Found*: the next download gets the lock of the same file. `Downloads._lock_partial` reads the
  row, if it is about this inode and this boot; after a reboot nobody knows what the file holds.
* *Resumed*: :meth:`.partial_file.Partial.resume` hashes all of the file again and compares. What
  does not match is dropped (:meth:`.partial_file.Partial.rewind`). The transfer then asks for
  :meth:`.partial_file.Partial.gaps` with ``If-Match``; another version begins anew.
* *Reclaimed*: :func:`..content.crash_recovery.reclaim` removes partial files that nobody has
  locked. Those that can be resumed stay until the quota needs their bytes, `Cache.gc` is called, or
  the index is rebuilt.
"""
