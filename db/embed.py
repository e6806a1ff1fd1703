#!/usr/bin/env python3
"""Turn schema.sql into a C array of its steps (db/schema.h declares it)."""
import re
import sys

text = open(sys.argv[1], encoding="ascii").read()
parts = re.split(r"^-- step (\d+)$", text, flags=re.M)[1:]
numbers = [int(n) for n in parts[0::2]]
if numbers != list(range(1, len(numbers) + 1)):
    sys.exit("schema.sql: steps are not numbered 1, 2, 3, ...")
with open(sys.argv[2], "w", encoding="ascii") as out:
    out.write('#include "db/schema.h"\n\nconst char *const schema_steps[] = {\n')
    for body in parts[1::2]:
        for line in body.strip("\n").split("\n"):
            line = line.replace("\\", "\\\\").replace('"', '\\"')
            out.write('\t"%s\\n"\n' % line.replace("\t", "\\t"))
        out.write("\t,\n")
    out.write("};\nconst int schema_version = %d;\n" % len(numbers))
