"""What the tests are made of: a real S3, a bad network, real processes and small disks.

Everything runs on loopback and in temporary directories. Nothing here knows how tmpcache works
inside; the modules describe the world around it.

* `s3`: an S3 server that counts requests and can be told to misbehave.
* `proxy`: a TCP proxy between the two that cuts, resets, stalls and delays.
* `processes`: Python snippets in processes of their own, stopped and killed at will.
* `disk`: how many bytes a directory really occupies, sampled while others write.
"""
