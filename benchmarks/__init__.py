"""What tmpcache costs, each number against a baseline measured in the same run.

``python -m benchmarks`` measures everything; ``python -m benchmarks hit wire`` only these, of:

* ``hit``: a fresh hit, against the bare ``os.path.exists`` of a cache kept by hand
* ``startup``: importing tmpcache and a fresh process's first hit, against ``python -c pass``
* ``wire``: asking S3 and downloading 10 KiB, against the same request with bare boto3
* ``scale``: 100,000 objects in the index, against 1,000
* ``memory``: the peak while 1 GiB arrives, against bare boto3 throwing the bytes away
* ``listing``: what a listing and a pack save one machine
* ``fleet``: what a listing and a pack save for 10 to 10,000 machines, simulated, and for 50
  processes; written into ``docs/``. Takes five minutes and 1.5 GB of memory
* ``layer``: a function's first response with the layer for Lambda, under Lambda's runtime client,
  against the same without it and with boto3
* ``micr``: checks that the sample's recogniser reads, right and wrong
* ``batch``: a batch of the sample that is killed and answered late: each upload once, its account
  true
* ``peers``: what else brings S3 objects into files, on the same work; written into ``docs/``.
  Their virtual environments are made once, from the package index, outside the tree

``--quick`` shows within a minute that ``fleet`` and ``peers`` work.

Ours and the baseline alternate, so that whatever else the machine does hits both; differences and
ratios are taken between neighbours, and medians of those are reported. The exit status is 1 if a
mark is missed. Needs 4 GB under ``$TMPDIR``, and uses nginx as the S3 if it is installed.
"""
