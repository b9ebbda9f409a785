"""The soak: many processes use one cache while everything that may happen to them happens.

``python -m soak`` starts an S3 whose answers go wrong, eight processes that fetch, put and evict
under a tight quota, and one that kills, stops, interrupts, cleans and measures. Every path is read
and compared with the bytes that its ETag stands for. The modules, lowest first:

* ``contents``: what each object is: bytes, versions and rights, as functions of key and time
* ``wire``, ``s3``, ``server``: the server, and what goes wrong with its answers
* ``board``, ``judge``: counters in shared memory; the checks, and the log of violations
* ``worker``, ``operations``: one process, and what it does with the cache over and over
* ``warmup``, ``forking``: what is imported before the first fork; how a worker becomes a process
* ``workers``, ``attacks``: the processes, and what happens to them
* ``disk``, ``aftermath``: what is on disk during a round and after it
* ``rounds``, ``report``: one round after the other, and the report on them
"""
