"""Messages of our own, odd in one way each: what MTAs, mail programs and
senders of spam do to MIME, charsets, headers, Received fields, HTML and line
ends. mails() yields (name, bytes)."""
import base64
import binascii
import email.quoprimime
import quopri

HEAD = (b'From: "Ann Author" <ann@author.example.com>\n'
        b'To: reader@ours.example.org\n'
        b'Date: Mon, 23 Nov 2020 10:00:00 +0000\n'
        b'Message-ID: <1.2@author.example.com>\n')
RECEIVED = (b'Received: from mx.author.example.com (mx.author.example.com'
            b' [198.51.100.7])\n\tby mail.ours.example.org (Postfix) with ESMTP'
            b' id 4F1A2\n\tfor <reader@ours.example.org>; Mon, 23 Nov 2020'
            b' 10:00:01 +0000 (UTC)\n')
PROSE = ('Dear friend, we have a great offer for you: visit '
         'http://www.example.com/offer?id=1 or write to sales@example.com now. '
         'The price is $99.99 only, and 100% of our clients are happy.')

# charset, text that it can hold
CHARSETS = [
    ('us-ascii', PROSE), ('utf-8', 'Grüße aus Köln – € 100, “quoted” ' + PROSE),
    ('utf-16', 'Grüße ' + PROSE), ('utf-16le', 'Grüße ' + PROSE),
    ('utf-16be', 'Grüße ' + PROSE), ('utf-32', 'Grüße ' + PROSE),
    ('utf-7', 'Grüße ' + PROSE), ('gb18030', '你好,朋友。免费发票代开 ' + PROSE),
    ('gb2312', '你好,朋友。免费发票代开 ' + PROSE), ('gbk', '你好,镕基 ' + PROSE),
    ('hz-gb-2312', '你好 ' + PROSE), ('big5', '您好,朋友。免費發票 ' + PROSE),
    ('big5-hkscs', '您好 ' + PROSE), ('iso-2022-jp', 'こんにちは、無料です ' + PROSE),
    ('euc-jp', 'こんにちは、無料です ' + PROSE),
    ('shift_jis', 'こんにちは、無料です ' + PROSE), ('cp932', '①こんにちは ' + PROSE),
    ('euc-kr', '안녕하세요 친구 ' + PROSE), ('cp949', '안녕하세요 ' + PROSE),
    ('iso-2022-kr', '안녕하세요 ' + PROSE),
    ('koi8-r', 'Привет, друг! Бесплатно ' + PROSE),
    ('koi8-u', 'Привіт, друже ' + PROSE),
    ('windows-1250', 'Zażółć gęślą jaźń ' + PROSE),
    ('windows-1251', 'Привет, друг! Бесплатно ' + PROSE),
    ('windows-1252', 'Grüße – € “x” ' + PROSE),
    ('windows-1253', 'Γειά σου φίλε ' + PROSE),
    ('windows-1254', 'Şöyle güzel ığ ' + PROSE),
    ('windows-1255', 'שלום חבר ' + PROSE), ('windows-1256', 'مرحبا صديق ' + PROSE),
    ('windows-1257', 'Labas ėšų ' + PROSE), ('windows-1258', 'Xin chào ' + PROSE),
    ('iso-8859-1', 'Grüße aus Köln ' + PROSE), ('iso-8859-2', 'Zażółć ' + PROSE),
    ('iso-8859-5', 'Привет ' + PROSE), ('iso-8859-7', 'Γειά ' + PROSE),
    ('iso-8859-8', 'שלום ' + PROSE), ('iso-8859-9', 'Şöyle ' + PROSE),
    ('iso-8859-15', 'Grüße € ' + PROSE), ('tis-620', 'สวัสดี ' + PROSE),
    ('mac-roman', 'Grüße – € ' + PROSE), ('cp437', 'Grüße ' + PROSE),
    ('cp850', 'Grüße ' + PROSE),
]


def part(ctype, body, cte=None, more=b''):
    head = b'Content-Type: ' + ctype + b'\n'
    if cte:
        head += b'Content-Transfer-Encoding: ' + cte + b'\n'
    return head + more + b'\n' + body


def message(ctype, body, cte=None, head=HEAD, subject=b'Hello', more=b''):
    return (RECEIVED + head + b'Subject: ' + subject + b'\nMIME-Version: 1.0\n' +
            part(ctype, body, cte, more))


def plain(body, head=HEAD, subject=b'Hello', more=b''):
    return RECEIVED + head + b'Subject: ' + subject + b'\n' + more + b'\n' + body


def multipart(kind, boundary, parts, preamble=b'', epilogue=b'', end=True,
              quoted=True):
    b = b'"' + boundary + b'"' if quoted else boundary
    body = preamble
    for p in parts:
        body += b'--' + boundary + b'\n' + p + b'\n'
    if end:
        body += b'--' + boundary + b'--\n'
    return b'multipart/' + kind + b'; boundary=' + b, body + epilogue


def b64(data):
    return base64.encodebytes(data)


def word(charset, text, kind):
    data = text.encode(charset)
    if kind == 'B':
        text = base64.b64encode(data).decode()
    else:
        text = email.quoprimime.header_encode(data, 'x').split('?')[3]
    return f'=?{charset}?{kind}?{text}?='.encode()


def charsets():
    for name, text in CHARSETS:
        data = text.encode(name) + '\n'.encode(name)
        label = name.encode()
        html = ('<html><head><title>' + text[:5] + '</title></head><body><p>' +
                text + '</p></body></html>\n').encode(name)
        yield f'charset-{name}-8bit', message(
            b'text/plain; charset=' + label, data, b'8bit')
        yield f'charset-{name}-b64', message(
            b'text/plain; charset="' + label + b'"', b64(data), b'base64')
        yield f'charset-{name}-qp', message(
            b'text/plain; charset=' + label.upper(), quopri.encodestring(data),
            b'quoted-printable')
        yield f'charset-{name}-html', message(
            b'text/html; charset=' + label, b64(html), b'BASE64')
        yield f'charset-{name}-words', plain(
            b'x\n', subject=word(name, text[:12], 'B') + b'\n ' +
            word(name, text[3:20], 'Q') + b' plain ' + word(name, text[:9], 'Q'),
            head=b'From: ' + word(name, text[:9], 'Q') +
            b' <ann@author.example.com>\nTo: r@ours.example.org\n')
        yield f'charset-{name}-undeclared', plain(data)
        yield f'charset-{name}-as-utf-8', message(
            b'text/plain; charset=utf-8', data, b'8bit')
    raw = 'Grüße, schöne Welt http://example.com/ü ' .encode()
    latin = 'Grüße, schöne Welt http://example.com/ü '.encode('latin-1')
    for label in (b'utf8', b'UTF-8//TRANSLIT', b'x-unknown', b'unknown-8bit', b'',
                  b'"', b'unicode-1-1-utf-7', b'iso-8859-8-i', b'8bit',
                  b'ISO8859-1', b'iso-8859-1; format=flowed', b'ascii',
                  b'ks_c_5601-1987', b'x-sjis', b'x-gbk', b'chinesebig5',
                  b'ansi_x3.4-1968', b'utf-8\xff', b"'utf-8'", b'cp-850',
                  b'windows-31j', b'ISO-2022-JP', b'macintosh', b'utf-16'):
        yield 'label-' + label.hex()[:20], message(
            b'text/plain; charset=' + label, raw + latin, b'8bit')
        yield 'label-html-' + label.hex()[:20], message(
            b'text/html; charset=' + label, b'<p>' + latin, b'8bit')
    for name, bad in (('overlong', b'\xc0\xaf \xe0\x80\xaf'),
                      ('surrogate', b'\xed\xa0\x80 \xed\xb0\x80'),
                      ('cut', 'Grü€'.encode()[:-1]), ('high', b'\xf5\x80\x80\x80'),
                      ('bom', b'\xef\xbb\xbfText with a mark'),
                      ('c1', b'\x80\x81\x8d\x8f\x90\x9d\xa0'),
                      ('nonchar', '\ufffe\uffff\U0001f600'.encode())):
        yield f'utf-8-{name}', message(b'text/plain; charset=utf-8',
                                       b'x ' + bad + b' y\n', b'8bit')
        yield f'utf-8-{name}-html', message(b'text/html; charset=utf-8',
                                            b'<b>x ' + bad + b' y</b>\n', b'8bit')


RECEIVED_FORMS = [
    b'from [203.0.113.5] (helo=x.example.net) by mx.ours.example.org with esmtp (Exim 4.94) (envelope-from <a@b.example.net>) id 1kX-0001; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from user by host.example.net with local (Exim 4.92) id 1kX-0002; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from x.example.net ([203.0.113.6]:34567 helo=y.example.net) by mx.ours.example.org with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.94.2) id 1kX-3; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from unknown (HELO evil.example.net) (203.0.113.7) by mx.ours.example.org with SMTP; 23 Nov 2020 10:00:00 -0000',
    b'from unknown (HELO ?10.0.0.1?) (user@203.0.113.8) by mx.ours.example.org with (AES256-SHA encrypted) SMTP; 23 Nov 2020 10:00:00 -0000',
    b'(qmail 1234 invoked by uid 89); 23 Nov 2020 10:00:00 -0000',
    b'(qmail 1234 invoked from network); 23 Nov 2020 10:00:00 -0000',
    b'from relay.example.net (relay.example.net [203.0.113.9] (may be forged)) by mx.ours.example.org (8.15.2/8.15.2) with ESMTP id 0ANA000; Mon, 23 Nov 2020 10:00:00 GMT',
    b'from relay.example.net (IDENT:joe@relay.example.net [203.0.113.9]) by mx.ours.example.org (8.9.3/8.9.3) with SMTP id KAA0; Mon, 23 Nov 2020 10:00:00 GMT',
    b'from EX1.corp.example.net (2001:db8:1::5) by EX2.corp.example.net (2001:db8:1::6) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.1.2106.2; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from EX1.corp.example.net ([fe80::1%5]) by EX2.corp.example.net ([fe80::2%11]) with mapi id 15.01.2106.002; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from NAM02.outbound.protection.outlook.com (mail-x.outbound.protection.outlook.com. [40.92.1.1]) by mx.google.com with ESMTPS id z1si2 for <r@ours.example.org> (version=TLS1_2 cipher=ECDHE bits=128/128); Mon, 23 Nov 2020 02:00:00 -0800 (PST)',
    b'by 2002:a05:6a10:2a2:0:0:0:0 with SMTP id q34csp1234; Mon, 23 Nov 2020 02:00:00 -0800 (PST)',
    b'from mail-sor-f41.google.com (mail-sor-f41.google.com. [209.85.220.41]) by mx.google.com with SMTPS id a1sor2 for <r@ours.example.org> (Google Transport Security); Mon, 23 Nov 2020 02:00:00 -0800 (PST)',
    b'from [10.1.2.3] by web1.mail.yahoo.com via HTTP; Mon, 23 Nov 2020 02:00:00 PST',
    b'from [98.137.66.1] by nm1.bullet.mail.ne1.yahoo.com with NNFMP; 23 Nov 2020 10:00:00 -0000',
    b'from sonic.gate.mail.ne1.yahoo.com by sonic1.consmr.mail.ne1.yahoo.com with HTTP; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from [203.0.113.10] (account joe@example.net HELO pc) by cgp.example.net (CommuniGate Pro SMTP 6.2.15) with ESMTPA id 1; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from pc.example.net ([203.0.113.11]) by domino.example.net (Lotus Domino Release 9.0.1FP10) with ESMTP id 2020112310-1; Mon, 23 Nov 2020 10:00:00 +0100',
    b'from pc ([203.0.113.12]) by mail.example.net (MDaemon PRO v20.0.2) with ESMTP id md50000.msg for <r@ours.example.org>; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from pc [203.0.113.13] by mail.example.net with ESMTP (SMTPD32-8.15) id A1; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from pc ([203.0.113.14]) by smtp.example.net with MailEnable ESMTP; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from localhost (localhost [127.0.0.1]) by zimbra.example.net (Postfix) with ESMTP id 1234; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from localhost by zimbra.example.net (Zimbra) with LMTP; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from mx.example.net by mail.ours.example.org with LMTP id abc (envelope-from <bounce@example.net>) for <r@ours.example.org>; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from pop.example.net [203.0.113.15] by pc.example.org with POP3 (fetchmail-6.4.0) for <r@localhost> (single-drop); Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from mail.example.net (unknown [203.0.113.16]) by mx.ours.example.org (OpenSMTPD) with ESMTPS id 5f (TLSv1.2:ECDHE-RSA:256:NO) for <r@ours.example.org>; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from pc ([203.0.113.17]) by mx.ours.example.org (Haraka/2.8.25) with ESMTPSA id 1-1 envelope-from <a@b.example.net> (authenticated bits=0); Mon, 23 Nov 2020 10:00:00 +0000',
    b'from pc (pc.dyn.example.net [::ffff:203.0.113.18]) (AUTH: LOGIN joe, TLS: TLSv1) by mx.example.org with ESMTP id 0001 (Courier); Mon, 23 Nov 2020 10:00:00 +0000',
    b'from [192.168.1.5] (p1.dip.example.net [203.0.113.19]) (Authenticated sender: joe) by mx.ours.example.org (Postfix) with ESMTPSA id 12; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from pc (unknown [IPv6:2001:db8::5]) by mx.ours.example.org (Postfix) with ESMTPS id 12; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from unknown (HELO mx.example.net) ([203.0.113.20]) by esa1.example.org with ESMTP/TLS/ECDHE-RSA; 23 Nov 2020 02:00:00 -0800',
    b'from a8-31.smtp-out.amazonses.com (a8-31.smtp-out.amazonses.com [54.240.8.31]) (using TLSv1.2 with cipher ECDHE (128/128 bits)) (No client certificate requested) by mx.ours.example.org (Postfix) with ESMTPS id 1; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from mx.ours.example.org ([127.0.0.1]) by localhost (mx.ours.example.org [127.0.0.1]) (amavisd-new, port 10024) with ESMTP id x; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'by filter0001.sendgrid.net with SMTP id filter0001-1-2 2020-11-23 10:00:00.0 +0000 UTC m=+1',
    b'from MTY2MDQ5MzM (o1.sendgrid.net [167.89.1.1]) by geopod-ismtpd-1 (SG) with HTTP id x Mon, 23 Nov 2020 10:00:00.000 +0000 (UTC)',
    b'from eu-smtp-delivery-1.mimecast.com (eu-smtp-delivery-1.mimecast.com [203.0.113.21]) (Using TLS) by relay.mimecast.com with ESMTP id uk-mta-1-x; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from pps.filterd (m0001.ppops.net [127.0.0.1]) by mx0a-1.pphosted.com (8.16.0.42/8.16.0.42) with SMTP id 0AN; Mon, 23 Nov 2020 02:00:00 -0800',
    b'from pc.example.net (203.0.113.22) by mta1.example.net (PowerMTA(TM) v3.5r17) id h1 for <r@ours.example.org>; Mon, 23 Nov 2020 05:00:00 -0500 (envelope-from <b@example.net>)',
    b'from GWDOM-MTA by mail.example.net with Novell_GroupWise; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from rly-xa01.mx.aol.com (rly-xa01.mail.aol.com [172.20.1.1]) by air-xa01.mail.aol.com (v98.9) with ESMTP id MAILINXA; Mon, 23 Nov 2020 05:00:00 -0500',
    b'from mail pickup service by hotmail.com with Microsoft SMTPSVC; Mon, 23 Nov 2020 02:00:00 -0800',
    b'from 203.0.113.23 by by1fd.bay1.hotmail.msn.com with HTTP; Mon, 23 Nov 2020 10:00:00 GMT',
    b'from [203.0.113.24] by mail.example.net (SquirrelMail authenticated user joe) by mail.example.net with HTTP; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from dslb-203-0-113-25.pools.example.net (203.0.113.25) by webmail.example.net (Horde Framework) with HTTP; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from 203-0-113-26.dyn.example.net ([203.0.113.26]) by mx.ours.example.org with esmtpa id 1; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from a (203.0.113.27) by b (203.0.113.28) id 1 for <r@ours.example.org>; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from sentto by x.grp.scd.yahoo.com with QMQP; 23 Nov 2020 10:00:00 -0000',
    b'from [203.0.113.29] by mx.ours.example.org id 1234; Mon, 23 Nov 2020 10:00:00',
    b'by mx.ours.example.org (Postfix, from userid 1000) id 1234; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)',
    b'from x by y; bogus date',
    b'gibberish without any meaning',
    b'from "quoted host" ([203.0.113.30]) by [203.0.113.31]; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from mail.b\xc3\xbccher.example (mail.xn--bcher-kva.example [203.0.113.32]) by mx.ours.example.org (Postfix) with UTF8SMTPS id 1; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from 1.2.3 (1.2.3.4.5 [256.1.1.1]) by mx.ours.example.org (Postfix) with SMTP id 1; Mon, 23 Nov 2020 10:00:00 +0000',
    b'from [127.0.0.1] ([203.0.113.33]) by smtp.gmail.com with ESMTPSA id x (version=TLS1_2); Mon, 23 Nov 2020 02:00:00 -0800 (PST)',
]


def received():
    for i, form in enumerate(RECEIVED_FORMS):
        yield f'received-{i:02}', (
            b'Received: ' + form + b'\n' + HEAD + b'Subject: hop\n\ntext\n')
        yield f'received-{i:02}-second', (
            RECEIVED + b'Received: ' + form.replace(b' by ', b'\n\tby ', 1) +
            b'\n' + HEAD + b'Subject: hop\n\ntext\n')
    yield 'received-all', b''.join(
        b'Received: ' + f + b'\n' for f in RECEIVED_FORMS) + HEAD + b'\nx\n'
    private = (b'Received: from inside.ours.example.org (inside [192.168.0.2])\n'
               b'\tby mail.ours.example.org (Postfix) with ESMTP id 1;'
               b' Mon, 23 Nov 2020 10:00:00 +0000\n')
    for i, form in enumerate(RECEIVED_FORMS[::6]):
        yield f'received-inside-{i}', (private + b'Received: ' + form + b'\n' +
                                       HEAD + b'Subject: hop\n\ntext\n')


HTML = {
    'hidden': b'<p style="display:none">secret viagra</p><span style="font-size:0">tiny</span><font size=1>small</font><div style="visibility:hidden">unseen</div><p>seen</p>',
    'colours': b'<body bgcolor="#ffffff" text=black><font color="#fffffe">white words</font><span style="color:white;background-color:#fff">more</span><font color=red>red</font><font color="#zzz">bad</font><font color="rgb(1,2,3)">rgb</font><p style="color:rgba(255,255,255,0.1)">a</p><p style="color:hsl(0,100%,50%)">h</p>',
    'comments': b'via<!-- x -->gra ci<!---->alis <!--[if mso]><p>mso</p><![endif]--><!-- unended <b>bold</b>',
    'unknown tags': b'fr<foo>ee m</foo>on<x-y z="1">ey<o:p></o:p><st1:city w:st="on">Rome</st1:city> of<zq>fer <b>x<i>y</b>z</i>',
    'entities': b'&#70;&#82;&#x45;&#X45; &lt;b&gt; &nbsp;&amp;amp; &copy &euro; &zwnj;x&shy;y &#8203; &#0; &#128; &#999999999; &bogus; &#xD800; &#65b',
    'attributes': b"<a href=http://one.example.com/a>1</a><a href='http://two.example.com/b'>2</a><a href=\"http://three.example.com/c>3</a><a HREF = http://four.example.com >4</a><img src=x.gif width=1 height=1><img src=\"http://five.example.com/x.png\" width='100%'>",
    'links': b'<a href="http://good.example.com/">http://other.example.net/</a><a href="https://bank.example.com@203.0.113.1/">https://bank.example.com</a><a href="http://0xcb007101/">hex</a><a href="http://3405803777/">dword</a><a href="http://%65xample.com/%2e%2e/">enc</a><a href="HTTP://WWW.EXAMPLE.COM./">dot</a><a href="javascript:alert(1)">js</a><a href="data:text/html,x">data</a><a href="mailto:joe@example.com?subject=x&body=y">mail</a><a href="//proto.example.com/x">rel</a><a href="/path">path</a><a href="ftp://f.example.com/">ftp</a><a href="http://user:pw@host.example.com:8080/p?q#f">all</a>',
    'link spaces': b'<a href=" http://sp.example.com/ ">a</a><a href="http://t\tab.example.com/">b</a><a href="http://nl.exa\nmple.com/">c</a><a href="ht\ntp://x.example.com/">d</a><a href="http:\\\\bs.example.com\\x">e</a><a href="http:/one.example.com">f</a><a href="http:///three.example.com">g</a><a href="">empty</a><a>none</a>',
    'idn': 'x <a href="http://bücher.example.com/ü?ä=ö">Bücher</a> <a href="http://xn--bcher-kva.example.com/">x</a> http://пример.com/ www.bücher.example.com'.encode(),
    'base': b'<base href="http://base.example.com/dir/"><a href="page.html">x</a><img src="../y.gif"><form action="mailto:x@example.com"></form><form action="go.cgi"></form>',
    'meta': b'<meta http-equiv="refresh" content="0; url=http://meta.example.com/"><meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><meta name=x content=y>text',
    'script': b'<script>document.write("<a href=http://js.example.com>x</a>")</script><style>p{color:red} a:after{content:"http://css.example.com"}</style><noscript>no http://ns.example.com/</noscript>after',
    'script unended': b'before<script>var x = "<b>never";',
    'title': b'<title>One &amp; two</title><title>Second</title><body>text<title>late</title>',
    'tables': b'<table bgcolor=black><tr><td bgcolor="#000001"><font color=black>hidden in cell</font><td background="http://bg.example.com/x.gif">cell<tr><th>head</table>after',
    'blocks': b'<h1>head</h1>text<br>line<br/>more<hr><ul><li>a<li>b</ul><pre>  keep\n   this  </pre><blockquote>q</blockquote><p>p<p>p2<div>d</div>e',
    'frames': b'<iframe src="http://frame.example.com/"></iframe><embed src="http://embed.example.com/"><object data="http://obj.example.com/"></object><bgsound src=http://snd.example.com/><link rel=stylesheet href=http://css.example.com/x.css><area href="http://area.example.com/"><input type=image src=http://in.example.com/><map name=x></map>',
    'bare': b'a < b and c > d, <> <3 < p>x</ p> <!x> <?php echo 1 ?> <![CDATA[ data <b>x</b> ]]> </unopened> <p',
    'plaintext': b'<p>before<xmp><b>not bold</b></xmp><plaintext><b>all text</b>',
    'textarea': b'<textarea rows=3><b>inside</b></textarea><select><option>1<option selected>2</select><button>go</button>',
    'case': b'<HTML><HEAD><TITLE>CAPS</TITLE></HEAD><BODY BGCOLOR=WHITE><P ALIGN=CENTER><A HREF="HTTP://CAPS.EXAMPLE.COM/">CLICK</A></BODY></HTML>',
    'nul': b'nu\x00ll <b\x00>x</b> <a href="http://n\x00ul.example.com/">y</a>',
    'long': b'<p>' + b'word ' * 3000 + b'</p><a href="http://long.example.com/' + b'a' * 9000 + b'">x</a>',
    'deep': b'<div>' * 400 + b'deep' + b'</div>' * 400,
    'tiny images': b'<img src=http://i.example.com/1.gif width=600 height=400><img src="http://i.example.com/2.gif" style="width:1px;height:1px">' * 3,
    'style colours': b'<p style="COLOR: #FFF; background: white url(x)">a</p><p style="color : inherit">b</p><p style="font: 0px arial">c</p><p style="font-size:1px">d</p><p style="font-size:0.1em">e</p><p style="display : none !important">f</p><p style="opacity:0">g</p><p style="color:#ffffff80">h</p><p style=\'color:&quot;red&quot;\'>i</p>',
    'nested fonts': b'<font size=+3>big<font size=-2>less</font><font size=7 face="Wingdings">x</font><big><small>s</small></big></font><font size="3" color="">e</font>',
    'anchor text': b'<a href="https://one.example.com/">Click <b>here</b> at https://two.example.net/ now</a><a href="https://203.0.113.5/">https://bank.example.com/</a><a href="http://x.example.com"><img src=y></a>',
    'doctype': b'<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd"><html xmlns="http://www.w3.org/1999/xhtml"><body>x</body></html>',
    'quoted lt': b'<img alt="a > b" title="<b>" src=x>after <p title=\'it"s\'>q</p>',
    'entity url': b'<a href="http://ent.example.com/?a=1&amp;b=2&#38;c=3">x</a> http://txt.example.com/?a=1&amp;b=2',
    'redirect': b'<a href="http://www.google.com/url?q=http://dest.example.com/x&sa=D">g</a><a href="https://l.example.com/r?u=https%3A%2F%2Ftwo.example.net%2F">e</a><a href="http://rd.yahoo.com/*http://yd.example.com/">y</a><a href="http://bit.ly/abc">s</a>',
}


def html():
    for name, body in HTML.items():
        yield f'html-{name}', message(b'text/html; charset=utf-8', body + b'\n')
        yield f'html-{name}-alt', message(*multipart(b'alternative', b'b', [
            part(b'text/plain', b'some other text\n'),
            part(b'text/html; charset=iso-8859-1', quopri.encodestring(body),
                 b'quoted-printable')]))


TEXTS = {
    'uris': b'See www.example.com, example.com/x (http://a.example.com/b) <http://c.example.com/d>. "http://e.example.com/f" http://g.example.com... hxxp://h.example.com http://i.example.com:80/ HTTP://J.EXAMPLE.COM ftp.example.com ftp://k.example.com/ mailto:l@example.com m@example.com http://203.0.113.1/x 203.0.113.2/y http:// n.example.com https://o.example.com/p?q=r&s=t#u',
    'uri tricks': b'http://user@evil.example.com/ http://evil.example.com\\x http:\\\\back.example.com http:/slash.example.com https//missing.example.com http://a..b.example.com/ http://-x.example.com/ http://x_y.example.com/ http://example.com.  http://example.invalidtld/ http://localhost/ http://a http://[2001:db8::1]/ http://example.com,http://two.example.com;http://three.example.com',
    'schemeless': b'Visit cheap-pills.com or CHEAP.NET/buy now, not file.txt or e.g. this.Also readme.md a.b.c x.co.uk/y index.html foo.example http.example.com www2.example.org/z ends.com.',
    'redirectors': b'http://www.google.com/url?sa=t&url=http://dest.example.net/ http://google.com/search?q=x http://translate.google.com/translate?u=http://tr.example.com http://t.co/abc http://bit.ly/x http://tinyurl.com/y https://l.facebook.com/l.php?u=https%3A%2F%2Ffb.example.com%2F',
    'mail addresses': b'joe@example.com <ann@example.net> "x" <bob@example.org>, contact: eve@example.com mallory AT example DOT com phone: x@gmail.com from: y@gmail.com z@yahoo.co.uk a@hotmail.com john.doe+tag@sub.example.co.uk',
    'flowed': b'This is a line that was broken \nsoftly and goes on \nhere.\n\n> quoted\n>> deeper\n-- \nsig http://sig.example.com\n',
    'capitals': b'BUY NOW AND SAVE BIG MONEY!!! CLICK HERE FOR FREE VIAGRA AND CIALIS AND LOANS TODAY ONLY!!!\n' * 6,
    'spaced': b'V I A G R A   f r e e   m.o.n.e.y  c-a-s-h  v1agra  l0ans  \n',
    'long line': b'x' * 70000 + b' http://far.example.com/ end\n',
    'long words': (b'y' * 3000 + b' ') * 5 + b'http://after.example.com/\n',
    'many lines': b'line of text\n' * 5000,
    'blank lines': b'\n' * 60 + b'after\n' + b' \n' * 40 + b'end\n',
    'controls': bytes(range(1, 32)) + b' text ' + bytes(range(127, 160)) + b'\n',
    'nuls': b'nu\0ls i\0n http://n\0.example.com/ text\0\0\n',
    'gtube': b'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n',
    'uuencode': b'Before\n\nbegin 644 x.txt\n' + b''.join(
        binascii.b2a_uu(b'Some hidden viagra text %d' % i) for i in range(5)) +
        b'`\nend\n\nAfter http://after.example.com/\n',
    'yenc': b'=ybegin line=128 size=10 name=x\nabcdefghij\n=yend size=10\n',
    'pgp': b'-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA1\n\ntext\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n=abcd\n-----END PGP SIGNATURE-----\n',
    'forwarded': b'---------- Forwarded message ---------\nFrom: X <x@example.com>\nDate: Mon, 23 Nov 2020\nSubject: y\nTo: z\n\nbody\n',
    'money': b'I am Barrister John. The sum of $18.5 million USD (Eighteen Million) deposited by my late client, next of kin, bank account, transfer, 40%, urgent reply, confidential. Your name: address: phone: age: occupation: country:\n',
    'bitcoin': b'Send $900 in bitcoin to 1BoatSLRHtKNngkdXEeobR76b53LETtpyT within 48 hours. I recorded you. Your password is hunter2.\n',
    'tabs': b'a\tb\t\tc   d\n\te\n   f\n\xa0g\n',
    'html in text': b'<html><body><a href="http://x.example.com">not html</a></body></html>\n',
    'equals': b'a=b =3D =\nsoft\n',
    'dots': b'.\n..\n...\nfrom here\nFrom there\n>From quoted\n',
    'iso-2022-jp raw': b'\x1b$B$3$s$K$A$O\x1b(B text http://jp.example.com/\n',
    'latin': 'Schöne Grüße, à bientôt, señor; naïve café'.encode('latin-1'),
    'smileys': '🎉🎁 Ｆｒｅｅ ｖｉａｇｒａ 𝐅𝐫𝐞𝐞 Vⅰagra ѕрam ‮reversed‬ zero​width\n'.encode(),
}


def texts():
    for name, body in TEXTS.items():
        yield f'text-{name}', plain(body)
        yield f'text-{name}-utf-8', message(b'text/plain; charset=utf-8', body,
                                            b'8bit')
        yield f'text-{name}-qp', message(
            b'text/plain; charset=iso-8859-1', quopri.encodestring(body),
            b'quoted-printable')


def encodings():
    data = (PROSE + ' ').encode() * 3
    good = b64(data)
    for name, cte, body in [
            ('b64 garbage', b'base64', good.replace(b'A', b'A*!', 5)),
            ('b64 no pad', b'base64', good.replace(b'=', b'').rstrip()),
            ('b64 joined', b'base64', b64(b'one') + b64(b'two two') + good),
            ('b64 spaces', b'base64', b' ' + good.replace(b'\n', b' \n\t')),
            ('b64 one line', b'base64', good.replace(b'\n', b'') + b'\n'),
            ('b64 text after', b'base64', good + b'\n--\nA list of people: http://list.example.com/\n'),
            ('b64 not', b'base64', b'This is no base64 at all! http://plain.example.com/\n'),
            ('b64 url', b'base64', base64.urlsafe_b64encode(b'\xfb\xff' * 30) + b'\n'),
            ('b64 crlf inside', b'base64', b64(data.replace(b'. ', b'.\r\n'))),
            ('b64 case', b' BaSe64 ', good), ('b64 comment', b'base64 (really)', good),
            ('b64 quoted', b'"base64"', good), ('b64 semicolon', b'base64;', good),
            ('qp lower', b'quoted-printable', b'a=3db =c3=bc =\nsoft=20\n'),
            ('qp bad', b'quoted-printable', b'=ZZ =3 = x=\n=\n==3D=\n'),
            ('qp space soft', b'quoted-printable', b'one= \t\ntwo\n three  \nend='),
            ('qp long', b'quoted-printable', b'word=20' * 300 + b'\n'),
            ('qp trailing', b'quoted-printable', b'x  \t \ny=20\nz=20=20\n'),
            ('qp crlf', b'quoted-printable', b'a=0D=0Ab=0D=0A=0D=0Ac\n'),
            ('7bit with 8', b'7bit', 'Grüße'.encode()),
            ('binary', b'binary', bytes(range(256))),
            ('unknown', b'x-foo', data), ('empty', b'', data),
            ('uue', b'x-uuencode', b'begin 644 x\n' + binascii.b2a_uu(data[:45]) + b'`\nend\n'),
            ('uuencode', b'uuencode', b'begin 644 x\n' + binascii.b2a_uu(data[:45]) + b'`\nend\n'),
            ('two', b'base64\nContent-Transfer-Encoding: 7bit', good)]:
        yield f'cte-{name}', message(b'text/plain; charset=utf-8', body, cte)
        yield f'cte-{name}-html', message(b'text/html; charset=utf-8', body, cte)
        yield f'cte-{name}-part', message(*multipart(b'mixed', b'x', [
            part(b'text/plain; charset=utf-8', body, cte),
            part(b'text/plain', b'second\n')]))


PNG = (b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02X\0\0\x01\x90\x08\2\0\0\0'
       b'\x12\x34\x56\x78')
GIF = b'GIF89a\x58\x02\x90\x01\x80\0\0' + b'\0' * 40
JPEG = (b'\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0'
        b'\xff\xc0\0\x11\x08\1\x90\2\x58\3\1\x22\0\2\x11\1\3\x11\1\xff\xd9')
PDF = (b'%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj'
       b'<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n3 0 obj<</Type/Page'
       b'/MediaBox[0 0 612 792]/Annots[<</A<</URI(http://pdf.example.com/)>>>>]'
       b'>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n')


def structures():
    text, html_ = part(b'text/plain', b'plain\n'), part(b'text/html', b'<b>html</b>\n')
    inner = part(*multipart(b'alternative', b'inner', [text, html_]))
    yield 'mime-nested', message(*multipart(b'mixed', b'outer', [inner, text]))
    yield 'mime-same-boundary', message(*multipart(b'mixed', b'x', [
        part(*multipart(b'alternative', b'x', [text, html_])), text]))
    yield 'mime-prefix-boundary', message(*multipart(b'mixed', b'ab', [
        part(*multipart(b'alternative', b'abc', [text, html_])), text]))
    for name, b in (('spaces', b'with some space'), ('regex', b'a.*+?()|[x]{1}'),
                    ('equals', b'=_x=_y'), ('long', b'z' * 200), ('dashes', b'--'),
                    ('quote', b"it's")):
        yield f'mime-boundary-{name}', message(*multipart(b'mixed', b, [text, html_]))
    yield 'mime-boundary-unquoted', message(*multipart(b'mixed', b'a=b/c', [text], quoted=False))
    yield 'mime-boundary-trailing', message(
        b'multipart/mixed; boundary=x', b'--x  \n' + text + b'\n--x\t\n' + html_ + b'\n--x-- \n')
    yield 'mime-no-end', message(*multipart(b'mixed', b'x', [text, html_], end=False))
    yield 'mime-no-parts', message(*multipart(b'mixed', b'x', []))
    yield 'mime-never-opened', message(b'multipart/mixed; boundary=x', b'just text http://u.example.com\n')
    yield 'mime-no-boundary', message(b'multipart/mixed', b'--x\n' + text + b'\n--x--\n')
    yield 'mime-empty-boundary', message(b'multipart/mixed; boundary=""', b'--\n' + text + b'\n----\n')
    yield 'mime-wrong-boundary', message(b'multipart/mixed; boundary=y', b'--x\n' + text + b'\n--x--\n')
    yield 'mime-preamble', message(*multipart(b'mixed', b'x', [text], preamble=b'This is a multi-part message http://pre.example.com/\n\n', epilogue=b'\nepilogue http://epi.example.com/\n'))
    yield 'mime-headerless', message(b'multipart/mixed; boundary=x', b'--x\n\nno header\n--x\nno separator\nat all\n--x\nContent-Type: text/html\n<b>no blank line</b>\n--x--\n')
    yield 'mime-fields-at-top', message(b'multipart/mixed; boundary=x', b'X-Field: y\n\n--x\n' + text + b'\n--x--\n')
    yield 'mime-digest', message(*multipart(b'digest', b'x', [
        b'\nFrom: a@example.com\nSubject: one\n\nfirst http://d1.example.com/\n',
        part(b'message/rfc822', b'From: b@example.com\nSubject: two\n\nsecond\n')]))
    inside = b'From: c@example.com\nSubject: inside\nContent-Type: text/html\n\n<a href="http://in.example.com/">x</a>\n'
    yield 'mime-rfc822', message(*multipart(b'mixed', b'x', [text, part(b'message/rfc822', inside)]))
    yield 'mime-rfc822-b64', message(*multipart(b'mixed', b'x', [text, part(b'message/rfc822', b64(inside), b'base64')]))
    yield 'mime-rfc822-root', message(b'message/rfc822', inside)
    yield 'mime-rfc822-multipart', message(*multipart(b'mixed', b'x', [part(
        b'message/rfc822', b'Subject: in\n' + part(*multipart(b'mixed', b'y', [text, html_])))]))
    yield 'mime-partial', message(b'message/partial; id=x; number=1; total=2', inside)
    yield 'mime-external', message(b'message/external-body; access-type=anon-ftp', b'Content-Type: text/plain\n\nhttp://ext.example.com\n')
    report = [part(b'text/plain', b'Delivery to the following recipient failed permanently: x@example.com\n'),
              part(b'message/delivery-status', b'Reporting-MTA: dns; mx.example.com\n\nFinal-Recipient: rfc822; x@example.com\nAction: failed\nStatus: 5.1.1\n'),
              part(b'text/rfc822-headers', b'From: reader@ours.example.org\nSubject: orig\nReceived: from x by mail.ours.example.org; x\n')]
    dsn = (b'From: Mail Delivery Subsystem <MAILER-DAEMON@mx.example.com>\nTo: <reader@ours.example.org>\n'
           b'Auto-Submitted: auto-replied\n')
    yield 'bounce-report', message(*multipart(b'report; report-type=delivery-status', b'x', report), head=dsn, subject=b'Undelivered Mail Returned to Sender')
    yield 'bounce-plain', b'Return-Path: <>\n' + plain(b'Hi. This is the qmail-send program at example.com.\n\n<x@example.com>:\nuser unknown\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <reader@ours.example.org>\nSubject: orig\n\nhi\n', head=dsn, subject=b'failure notice')
    yield 'bounce-vacation', plain(b'I am out of office until Monday.\n', head=dsn, subject=b'Out of Office: Hello')
    yield 'signed', message(*multipart(b'signed; micalg=sha1; protocol="application/pgp-signature"', b'x', [text, part(b'application/pgp-signature; name=signature.asc', b'-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n')]))
    yield 'smime', message(b'application/pkcs7-mime; name=smime.p7m', b64(b'\x30\x80' * 99), b'base64')
    for name, data, ct in (('png', PNG, b'image/png'), ('gif', GIF, b'image/gif'),
                           ('jpeg', JPEG, b'image/jpeg'), ('pdf', PDF, b'application/pdf'),
                           ('zip', b'PK\3\4' + b'\0' * 60, b'application/zip'),
                           ('exe', b'MZ' + b'\0' * 60, b'application/octet-stream'),
                           ('docm', b'PK\3\4' + b'\0' * 60, b'application/vnd.ms-word.document.macroEnabled.12'),
                           ('ics', b'BEGIN:VCALENDAR\nEND:VCALENDAR\n', b'text/calendar'),
                           ('vcf', b'BEGIN:VCARD\nEND:VCARD\n', b'text/x-vcard'),
                           ('rtf', b'{\\rtf1 http://rtf.example.com/}', b'application/rtf')):
        attached = part(ct + b'; name="file.' + name.encode() + b'"', b64(data), b'base64',
                        b'Content-Disposition: attachment; filename="file.' + name.encode() + b'"\n')
        yield f'attach-{name}', message(*multipart(b'mixed', b'x', [text, attached]))
        yield f'attach-{name}-html', message(*multipart(b'related', b'x', [
            part(b'text/html', b'<img src="cid:1">\n'), attached, attached]))
        yield f'attach-{name}-only', message(ct + b'; name=x.' + name.encode(), b64(data), b'base64')
    for name, ct in enumerate((
            b'text/html; name=x', b'text', b'text/', b'/plain', b'text/plain;', b'TEXT/PLAIN ; CHARSET = US-ASCII',
            b'text/plain (comment); charset=us-ascii', b'text/plain\n; charset\n =utf-8', b'"text/html"',
            b'text/html; charset=utf-8; charset=koi8-r', b'text/html;;charset=utf-8', b'text/enriched',
            b'text/x-amp-html', b'text/css', b'text/xml', b'text/plain; name="page.html"',
            b'text/plain; name*0="pa"; name*1="ge.htm"', b"text/plain; name*=utf-8''p%61ge.html",
            b'application/xhtml+xml', b'application/octet-stream; name=page.html', b'html', b'multipart/alternative',
            b'text/plain; format=flowed; delsp=yes', b'text/html charset=utf-8', b'text/ html', b'text/plain, text/html',
            b'message/rfc822; name=x', b'application/octet-stream', b'image/png', b'*/*', b'', b'text/html\ncontent-type: text/plain')):
        yield f'type-{name:02}', message(ct, b'<p>Some <b>text</b> http://t.example.com/</p>\n')
        yield f'type-{name:02}-part', message(*multipart(b'mixed', b'x', [part(ct, b'<p>Some <b>text</b> http://t.example.com/</p>\n'), text]))
    yield 'mime-deep', nested(25)
    yield 'mime-wide', message(*multipart(b'mixed', b'x', [text] * 120))
    yield 'mime-crlf-parts', message(*multipart(b'mixed', b'x', [text, html_])).replace(b'\n', b'\r\n')
    yield 'mime-empty-parts', message(b'multipart/mixed; boundary=x', b'--x\n--x\n\n--x\nContent-Type: text/plain\n\n--x--\n')
    yield 'mime-alt-html-only', message(*multipart(b'alternative', b'x', [html_]))
    yield 'mime-alt-different', message(*multipart(b'alternative', b'x', [
        part(b'text/plain', b'nothing in common here\n'), part(b'text/html', b'<p>buy cheap pills today</p>\n')]))
    yield 'mime-alt-calendar', message(*multipart(b'alternative', b'x', [html_, part(b'text/calendar', b'BEGIN:VCALENDAR\n')]))


def nested(depth):
    body = part(b'text/plain', b'innermost\n')
    for i in range(depth):
        ctype, text = multipart(b'mixed', b'b%d' % i, [body])
        body = part(ctype, text)
    return RECEIVED + HEAD + b'Subject: deep\n' + body


FIELDS = [
    b'From: ann@author.example.com', b'From: <ann@author.example.com>', b'From:', b'From: <>', b'From: "" <>',
    b'From: "Ann, Author" <ann@author.example.com>', b'From: Ann (comment) <ann@author.example.com>',
    b'From: ann@author.example.com (Ann Author)', b'From: Ann Author ann@author.example.com',
    b'From: "ann@bank.example.com" <x@author.example.net>', b"From: 'Ann' <ann@author.example.com>",
    b'From: a@x.example.com, b@y.example.com', b'From: a@x.example.com\nFrom: b@y.example.com',
    b'From: Group: a@x.example.com, b@y.example.com;', b'From: undisclosed-recipients:;',
    b'From: @route.example.com:ann@author.example.com', b'From: "quoted local"@example.com', b'From: ann@[203.0.113.1]',
    b'From: ann@localhost', b'From: ann', b'From: ann@author@example.com', b'From: <<ann@author.example.com>>',
    b'From: "Ann \\"Q\\" Author" <ann@author.example.com>', b'From: =?utf-8?Q?Ann?= =?utf-8?Q?_Author?= <ann@author.example.com>',
    b'From: =?utf-8?B?QW5uIDxhbm5AYmFuay5leGFtcGxlLmNvbT4=?= <x@author.example.net>', b'From: "=?utf-8?Q?Ann?=" <ann@author.example.com>',
    'From: Jürgen <jürgen@bücher.example>'.encode(), 'From: 用户 <用户@例子.example>'.encode(), b'From: J\xfcrgen <j@example.com>',
    b'From: =?utf-8?Q?a@b.example.com?=', b'From: a@gmail.com', b'From: A <a@GMAIL.COM>', b'From: a b c@example.com', b'From: ann@author.example.com.',
    b'From: Ann <ann@author.example.com', b'From: Ann ann@author.example.com>', b'From: "Ann <ann@author.example.com>',
    b'From : spaced@example.com', b'FROM: caps@example.com', b'from:nospace@example.com', b'From:\n folded@example.com', b'From: a@example.com\n\t(folded\n comment)',
    b'Subject: =?utf-8?B?RnJlZQ==?= =?utf-8?B?IG1vbmV5?=', b'Subject: =?utf-8?Q?a=20b?=c=?utf-8?Q?d?=', b'Subject: =?utf-8?Q?broken',
    b'Subject: =?utf-8?X?abc?=', b'Subject: =?utf-8?Q?with space?=', b'Subject: =?utf-8*en?Q?language?=', b'Subject: =?utf-8?B?!!!!?=', b'Subject: =?utf-8?B?RnJl?=',
    b'Subject: =?utf-8?b?w4M=?= =?utf-8?b?gg==?=', b'Subject: =?iso-8859-1?Q?=A1Hola=2C_se=F1or!?=', b'Subject: =?unknown?Q?x=FCy?=', b'Subject: =?utf-8?Q?=FF=FE?=',
    b'Subject: =?utf-8?Q??=', b'Subject: =?UTF-8?Q?line=0Abreak?=', b'Subject: =?utf-8?Q?nul=00x?=', b'Subject: x=?utf-8?Q?y?=z', b'Subject: =?gb2312?B?w+K30Q==?=',
    b'Subject: RE: RE[2]: FW: Re:x', b'Subject: FREE MONEY NOW!!!', b'Subject: ', b'Subject:', b'Subject: ' + b'x' * 9000, b'Subject: a\n b\n\tc\n  d', b'Subject: a\n \n b',
    b'Subject: Gr\xfc\xdfe', 'Subject: Grüße ‮evil'.encode(), b'Subject: tab\there', b'Subject: nul\0here', b'Subject: one\nSubject: two', b'Subject: you@example.com',
    b'To: undisclosed-recipients:;', b'To: <>', b'To:', b'To: a@b.example.com, "C, D" <c@d.example.com>, e@f.example.com (G)', b'To: ' + b', '.join(b'u%02d@x.example.com' % i for i in range(40)),
    b'To: ' + b', '.join(b'%c@x.example.com' % (97 + i) for i in range(20)), b'To: a@b.example.com\nTo: c@d.example.com\nCc: e@f.example.com\nBcc: g@h.example.com', b'Cc: only@example.com',
    b'Reply-To: other@gmail.com', b'Reply-To: a@x.example.com, b@y.example.com', b'Sender: s@z.example.com', b'Return-Path: <bounce@lists.example.com>', b'Return-Path: <>', b'Errors-To: e@example.com',
    b'X-Envelope-From: <env@example.com>', b'Envelope-Sender: env@example.com', b'X-Envelope-To: <x@ours.example.org>', b'Delivered-To: x@ours.example.org', b'Resent-From: r@example.com\nResent-To: t@example.com',
    b'Date: Mon, 23 Nov 2020 10:00:00 +0000', b'Date: 23 Nov 2020 10:00', b'Date: Mon Nov 23 10:00:00 2020', b'Date: 2020-11-23T10:00:00Z', b'Date: Mon, 32 Nov 2020 25:61:61 +9999', b'Date: garbage', b'Date:',
    b'Date: Mon, 23 Nov 20 10:00:00 EST', b'Date: Mon, 23 Nov 1990 10:00:00 GMT', b'Date: Mon, 23 Nov 2099 10:00:00 GMT', b'Date: Mon, 23 Nov 2020 10:00:00 +0000 (some (nested) comment)', b'Date: Mon, 23 Nov 2020 12:00:01 PM',
    b'Date: Tue, 24 Nov 2020 10:00:00 +0000', b'Date: Sun, 22 Nov 2020 09:00:00 +0000', b'Date: Mon, 23 Nov 2020 10:00:00 -0000\nDate: Mon, 23 Nov 2020 11:00:00 -0000',
    b'Message-ID: <>', b'Message-ID: no brackets@example.com', b'Message-ID: <a@b> <c@d>', b'Message-ID:\n <folded@example.com>', b'Message-ID: <000001c4$1234$5678@pc>', b'Message-Id: <20201123.ABCDEF@mail.gmail.com>',
    b'Message-ID: <x@localhost.localdomain>', b'Message-ID: <' + b'a' * 500 + b'@example.com>', b'X-Message-Id: <x1@example.com>\nResent-Message-Id: <x2@example.com>',
    b'X-Mailer: Microsoft Outlook Express 6.00.2800.1106\nX-MimeOLE: Produced By Microsoft MimeOLE V6.00.2800.1106', b'X-Mailer: The Bat! (v3.0)', b'User-Agent: Mozilla Thunderbird', b'X-Mailer: PHPMailer 5.2.9',
    b'X-Priority: 1\nX-MSMail-Priority: High\nImportance: High', b'Precedence: bulk\nList-Id: <l.example.com>\nList-Unsubscribe: <mailto:u@example.com>, <http://u.example.com/>', b'List-Post: <mailto:l@example.com>',
    b'References: <a@b.example> <c@d.example>\nIn-Reply-To: <a@b.example>', b'In-Reply-To:', b'X-Spam-Status: No', b'X-Spam-Flag: YES', b'Content-Length: 99999', b'Status: RO', b'X-Originating-IP: [203.0.113.50]',
    b'X-Originating-IP: 203.0.113.51', b'X-PHP-Originating-Script: 33:mail.php', b'X-PHP-Script: www.example.com/x.php for 203.0.113.52', b'DKIM-Signature: v=1; a=rsa-sha256; d=signer.example.com; s=x; h=from; bh=AA==; b=AA==', b'DomainKey-Signature: a=rsa-sha1; d=dk.example.com; s=x; b=AA==',
    b'Authentication-Results: mx.ours.example.org; spf=pass smtp.mailfrom=a@b.example.com', b'ARC-Seal: i=1; cv=none; d=arc.example.com; s=x; b=AA==', b'X-Empty:', b'X-Long: ' + b'word ' * 4000, b'X-8bit: \xff\xfe\x80',
    b'no colon here', b': no name', b' leading space continues nothing', b'Bad Name: x', b'X-\xc3\xbc: utf8 name', b'X-' + b'n' * 300 + b': long name', b'X-Cr: a\rb', b'X-Tab:\tv', b'X-NoSpace:v', b'X-Trail: v   ',
]


def fields():
    for i, field in enumerate(FIELDS):
        name = field.split(b':')[0].strip().lower()
        head = b''.join(line + b'\n' for line in HEAD.strip().split(b'\n')
                        if line.split(b':')[0].lower() != name)
        more = b'' if name == b'subject' else b'Subject: Hello\n'
        yield f'field-{i:03}', RECEIVED + head + field + b'\n' + more + b'\nbody text\n'
        yield f'field-{i:03}-first', field + b'\n' + RECEIVED + head + more + b'\nbody text\n'


def framing():
    base = plain(b'line one\nline two http://l.example.com/\n')
    crlf = base.replace(b'\n', b'\r\n')
    yield 'lines-crlf', crlf
    yield 'lines-cr', base.replace(b'\n', b'\r')
    yield 'lines-mixed-header', base.replace(b'\n', b'\r\n', 4)
    head, body = base.split(b'\n\n', 1)
    yield 'lines-mixed-body', head + b'\n\n' + body.replace(b'\n', b'\r\n')
    yield 'lines-mixed-blank', head + b'\n\r\n' + body
    yield 'lines-crlf-lf-blank', head.replace(b'\n', b'\r\n') + b'\r\n\n' + body
    yield 'lines-crcrlf', base.replace(b'\n', b'\r\r\n')
    yield 'lines-lfcr', base.replace(b'\n', b'\n\r')
    yield 'lines-bare-cr-body', head + b'\n\none\rtwo\rthree\n'
    yield 'no-final-newline', base.rstrip(b'\n')
    yield 'no-body', head + b'\n'
    yield 'no-body-no-newline', head
    yield 'no-blank-line', head + b'\nThis is text where the body should be\nhttp://x.example.com/\n'
    yield 'boundary-in-header', (RECEIVED + HEAD + b'Content-Type: multipart/mixed; boundary=x\n--x\n' +
                                 part(b'text/plain', b'x\n') + b'\n--x--\n')
    yield 'blank-with-space', head + b'\n \n' + body
    yield 'blank-with-tab-crlf', head.replace(b'\n', b'\r\n') + b'\r\n\t\r\n' + body
    yield 'mbox-from', b'From ann@author.example.com Mon Nov 23 10:00:00 2020\n' + base
    yield 'mbox-escaped', b'>From ann Mon Nov 23 10:00:00 2020\n' + base
    yield 'only-newline-body', head + b'\n\n\n\n\n'
    yield 'only-fields', b'Subject: x\n\n'
    yield 'body-only', b'\nbody only http://b.example.com/\n'
    yield 'long-header-line', RECEIVED + HEAD + b'X-Long: ' + b'y' * 100000 + b'\nSubject: s\n\nx\n'
    yield 'many-fields', RECEIVED + HEAD + b''.join(b'X-F%d: v%d\n' % (i, i) for i in range(900)) + b'\nx\n'
    yield 'many-same', RECEIVED + HEAD + b'X-Same: v\n' * 500 + b'\nx\n'
    yield 'nul-header', RECEIVED + HEAD + b'X-N: a\0b\nSubject: c\0d\n\nx\0y\n'
    yield 'spamassassin-report', plain(b'Spam detection software, running on the system "x",\nhas NOT identified this incoming email as spam.\n')
    yield 'eai', (RECEIVED.replace(b'ESMTP', b'UTF8SMTP') + 'From: Дмитрий <дмитрий@пример.рф>\nTo: 李 <李@例え.jp>\n'
                  'Subject: Привет мир\nX-Ünï: cödé\n\nТекст http://пример.рф/путь и почта@пример.рф\n'.encode())


def headless():
    for name, data in (
            ('empty line', b'\n'), ('word', b'hello'), ('one line', b'Buy now http://buy.example.com/\n'),
            ('three lines', b'one\ntwo http://two.example.com/\nthree\n\nbody http://body.example.com/\n'),
            ('four lines', b'one\ntwo\nthree http://three.example.com/\nfour http://four.example.com/\n\nbody\n'),
            ('prose', (PROSE + '\n\n' + PROSE + '\n').encode()), ('late field', b'one\ntwo\nSubject: late\n\nbody\n'),
            ('late fields', b'a\nb\nc\nd\nFrom: ann@author.example.com\nSubject: late\n\nbody\n'),
            ('folded', b' begins with white space\n\tand goes on\n\nbody\n'), ('boundary', b'--x\nContent-Type: text/html\n\n<b>x</b>\n--x--\n'),
            ('html', b'<html><body>Click <a href="http://click.example.com/">here</a></body></html>\n'),
            ('base64', b64(PROSE.encode() * 4)), ('bytes', bytes(range(256)) * 3), ('nuls', b'\0' * 40), ('mbox', b'From a@b.example Mon Jan  1 12:34:56 2024\nhello\n'),
            ('mbox body', b'From a@b.example Mon Jan  1 12:34:56 2024\n\nhello\n'), ('crlf', b'one\r\ntwo\r\nthree\r\nfour\r\n\r\nbody\r\n')):
        yield f'headless-{name}', data


def mails():
    for source in (charsets, received, html, texts, encodings, structures,
                   fields, framing, headless):
        yield from source()


if __name__ == '__main__':
    import os
    import sys
    os.makedirs(sys.argv[1], exist_ok=True)
    for n, (name, data) in enumerate(mails()):
        with open(os.path.join(sys.argv[1], f'{name.replace("/", "_").replace(" ", "_")}.eml'),
                  'wb') as f:
            f.write(data)
