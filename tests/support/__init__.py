"""What the tests are made of: a real S3, a bad network, real processes and small disks.

Everything runs on loopback and in temporary directories. Nothing here knows how tmpcache works
inside; the modules describe the world around it.

* `swift`: another object store, with two users who have different rights. (The S3 that the other
  tests talk to is public: `tmpcache.testing`.)
* `iam`: users of that S3 with different rights.
* `proxy`: a TCP proxy between the two that cuts, resets, stalls and delays.
* `processes`: Python snippets in processes of their own, stopped and killed at will.
* `disk`: how many bytes a directory really occupies, sampled while others write.
"""
