"""What the tests are made of: a real S3, a bad network, real processes and small disks.

Everything runs on loopback and in temporary directories. Most modules describe the world around
tmpcache; only `leftovers` looks inside it.

* `swift`: another object store, with two users who have different rights. (The S3 that the other
  tests talk to is public: `tmpcache.testing`.)
* `iam`: users of that S3 with different rights.
* `proxy`: a TCP proxy between the two that cuts, resets, stalls and delays.
* `processes`: Python snippets in processes of their own, stopped and killed at will.
* `handmade`, `odd`, `wire`: servers that answer as a test says, down to single bytes.
* `shelf`, `anywhere`: origins in memory; processes that are killed at any line.
* `interrupts`, `leftovers`: signal handlers that raise at any moment; what is left afterwards.
* `expectations`, `model`: the state machine of the whole cache.
* `functions`, `cloud`, `scanner`: functions of Lambda, and the services of the check scanner.
* `disk`: how many bytes a directory really occupies, sampled while others write.
"""
