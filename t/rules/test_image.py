"""ImageInfo: counts, sizes and names from image headers; the ends of ranges."""
import base64
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from judging import explained  # noqa: E402
from tap import done, ok, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
N = 60
rules = {
    "I_ONE": "image_count('gif','1','1')", "I_ALL": "image_count('all','2')", "I_THREE": "image_count('all','3')",
    "I_GIF": "image_size_exact('gif','1','1')", "I_PNG": "image_size_exact('png','3','2')",
    "I_TURNED": "image_size_exact('png','2','3')", "I_RANGE": "image_size_range('png','3','2','3','2')",
    "I_PIXELS": "pixel_coverage('png','6','6')", "I_NAME": "image_named('a.gif')", "I_NONAME": "image_named('b.gif')",
    "I_REGEX": "image_name_regex('/^a\\.g/')",
}
for k in range(1, N):
    rules[f"LOW_{k}"] = f"image_to_text_ratio('gif','{k}','1000')"
    rules[f"HIGH_{k}"] = f"image_to_text_ratio('gif','0','{k}')"
with open("r.cf", "w") as f:
    f.writelines(f"body {n} eval:{v}\nscore {n} 0.1\n" for n, v in rules.items())
gif = base64.b64encode(b"GIF89a\x01\x00\x01\x00\x00\x00\x00").decode()
png = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x03\x08\0\0\0\0\0\0\0\0").decode()
with open("m.eml", "w") as f:
    f.write("From: a@b.test\nSubject: hello\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
            "--b\nContent-Type: text/plain\n\nsome text here\n"
            f"--b\nContent-Type: image/gif; name=a.gif\nContent-Transfer-Encoding: base64\n\n{gif}\n"
            f"--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n{png}\n--b--\n")
hits = {h["rule"] for h in explained("m.eml", "--offline")["hits"]}
same(sorted(h for h in hits if h.startswith("I_")),
     sorted(["I_ONE", "I_ALL", "I_GIF", "I_PNG", "I_RANGE", "I_PIXELS", "I_NAME", "I_REGEX"]), "what the images are")
low = max(int(h[4:]) for h in hits if h.startswith("LOW_"))
high = min(int(h[5:]) for h in hits if h.startswith("HIGH_"))
ok(10 < low < N - 1, f"the text has {low} characters")
same(high, low + 1, "the lower end of the ratio is in its range, the upper is not")
done()
