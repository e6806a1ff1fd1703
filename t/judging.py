"""For tests that judge a message by rules of their own through the command."""
import json

from tap import SPAMSCORE, note, run


def rule_names(rules):
    """Rules that may hit; those of `__` are parts of others."""
    lines = (line.split() for line in rules.splitlines())
    return [w[1] for w in lines if w[:1] and w[0] in ("header", "body", "rawbody", "askdns") and not w[1].startswith("__")]


def net_rules(rules, flags=None):
    """The rules as net rules, a point each."""
    return rules + "".join(f"tflags {n} net {(flags or {}).get(n, '')}\nscore {n} 1\n" for n in rule_names(rules))


def explained(message, *options):
    """The verdict as --json prints it, by the rules in r.cf."""
    code, out, err = run(SPAMSCORE, "--explain", "--json", "--rules", "r.cf", "--db", "none", *options, message)
    if code != 0:
        note(err)
    return json.loads(out)
