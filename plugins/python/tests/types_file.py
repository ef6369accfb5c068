"""Writes rows of many types to an Arrow file, for a test that sends them there and back."""

import datetime
import decimal
import sys

import pyarrow as pa

n=50
t=pa.table({
 "i8": pa.array([None if i%7==0 else i for i in range(n)], pa.int8()),
 "u64": pa.array([2**63+i for i in range(n)], pa.uint64()),
 "f": pa.array([None if i%5==0 else i/3 for i in range(n)]),
 "b": pa.array([None if i%3==0 else i%2==0 for i in range(n)]),
 "s": pa.array([None if i%4==0 else f"t{i}ü" for i in range(n)]),
 "ls": pa.array([f"x{i}" for i in range(n)], pa.large_string()),
 "d": pa.array([None if i%6==0 else f"word{i%3}" for i in range(n)]).dictionary_encode(),
 "l": pa.array([None if i%4==1 else list(range(i%3)) for i in range(n)]),
 "st": pa.array([None if i%9==0 else {"a":i,"b":str(i)} for i in range(n)]),
 "ts": pa.array([datetime.datetime(2026,1,1,tzinfo=datetime.timezone.utc)+datetime.timedelta(seconds=i) for i in range(n)], pa.timestamp("us","UTC")),
 "da": pa.array([datetime.date(2026,1,1+i%28) for i in range(n)]),
 "dec": pa.array([decimal.Decimal(i)/4 for i in range(n)], pa.decimal128(20,4)),
 "bin": pa.array([bytes([i]) for i in range(n)]),
})
with pa.ipc.new_file(sys.argv[1], t.schema) as w:
    w.write_table(t, max_chunksize=9)
