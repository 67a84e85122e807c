# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The page of a report as Jinja2 and CSS; kept as Python so that every installer takes it along."""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "paper": "#ffffff", "ink": "#1b1b1b", "muted": "#555555", "rule": "#8a8a8a",
    "grid": "#dddddd", "soft": "#eef4f9", "accent": "#0b5394",
}  # fmt: skip
DARK: Final = {
    "paper": "#14171b", "ink": "#f0f0f0", "muted": "#b5b9bf", "rule": "#858a91",
    "grid": "#33383f", "soft": "#1f2730", "accent": "#8ec3f5",
}  # fmt: skip
FILLS: Final = {
    "negative": "#d55e00", "neutral": "#56b4e9", "positive": "#009e73", "unknown": "#b8b8b8",
}  # fmt: skip
"""Okabe and Ito's palette, told apart by colour-blind people too; patterns tell the same."""


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


STYLE: Final = (
    ":root{color-scheme:light dark;" + _variables(LIGHT) + "}"
    "@media screen and (prefers-color-scheme:dark){:root{"
    + _variables(DARK)
    + "}}"
    + "".join(f".f-{name}{{fill:{value}}}" for name, value in FILLS.items())
    + """
.f-no_face{fill:var(--paper)}
*{box-sizing:border-box}
body{font:1rem/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:62rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
h1{line-height:1.2;margin:.4rem 0}h2{margin:2.4rem 0 .6rem;line-height:1.25;
border-bottom:1px solid var(--rule)}h3{margin:1.6rem 0 .4rem}
p{max-width:44rem}.about,figcaption,caption,.muted{color:var(--muted)}
.short{background:var(--soft);border-left:4px solid var(--accent);padding:.4rem 1.1rem;
margin:1rem 0}.short h2{border:0;margin:.4rem 0}.short p{margin:.6rem 0}
a,summary{color:var(--accent)}summary{cursor:pointer;padding:.35rem 0}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--accent);
outline-offset:2px}
.skip{position:absolute;left:-999rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);
padding:.4rem .8rem}
figure{margin:1rem 0}figcaption{font-size:.9rem;max-width:44rem}
svg{display:block;width:100%;height:auto;margin:.4rem 0}.narrow-only{display:none;max-width:34rem}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.9rem}caption{text-align:left;padding:.2rem 0}
th,td{padding:.3rem .7rem .3rem 0;text-align:left;vertical-align:top;font-weight:400;
border-bottom:1px solid var(--grid)}thead th{border-bottom:2px solid var(--rule);font-weight:600;
vertical-align:bottom}
th,td{overflow-wrap:normal}tbody th,td{white-space:nowrap}
tbody th.long,td.long{white-space:normal;min-width:9rem;max-width:24rem;overflow-wrap:anywhere}
td img{display:block;max-width:7rem;height:auto}
dt{font-weight:600;margin-top:.5rem}dd{margin:0 0 .3rem;max-width:44rem}
svg text{fill:var(--ink);font-family:system-ui,sans-serif}svg text.muted{fill:var(--muted)}
.edge{stroke:var(--ink);stroke-width:1}.lane{stroke:var(--ink);stroke-width:.4}.axis{stroke:var(--rule);stroke-width:1;fill:none}
.grid{stroke:var(--grid);stroke-width:1;fill:none}
.curve{stroke:var(--ink);stroke-width:1.6;fill:none;stroke-linejoin:round}
.spread{fill:var(--rule);fill-opacity:.45;stroke:none}.hatch{stroke:#1b1b1b;stroke-width:1.3;
stroke-opacity:.55;fill:none}.track{fill:var(--paper);stroke:var(--rule)}.plate{fill:var(--paper)}
.halo{stroke:var(--paper);stroke-width:6;fill:none}.whisker{stroke:var(--ink);stroke-width:2;
fill:none}.half{stroke:var(--muted);stroke-width:1.5;stroke-dasharray:5 4;fill:none}
@media screen and (max-width:44rem){.wide-only{display:none}.narrow-only{display:block}
th,td{padding-right:.55rem}h1{font-size:1.6rem}}
@media screen and (prefers-color-scheme:dark){.hatch{stroke-opacity:.7}
[id$=-no_face] .hatch{stroke:var(--muted)}}
@media print{:root{font-size:10pt}main{max-width:none;padding:0}.skip{display:none}
details:not([open]){display:none}.scroll{overflow:visible}h2,h3,caption{break-after:avoid}
figure,tr,.short,.small{break-inside:avoid}
tbody th,td{white-space:normal}thead{display:table-header-group}
.short,svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
@page{margin:15mm}
"""
)

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="generator" content="{{ generator }}">
<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">
<title>{{ page.title }}</title><style>{{ style }}</style></head>
<body><a class="skip" href="#content">Go to the content</a>
<main id="content"><h1>{{ page.title }}</h1>
<p class="about">{{ page.about }}</p>
<section class="short" aria-labelledby="short"><h2 id="short">In short</h2>
{% for sentence in page.short %}<p>{{ sentence }}</p>
{% endfor %}</section>
{% for section in page.sections %}<section aria-labelledby="part-{{ loop.index }}">
<h2 id="part-{{ loop.index }}">{{ section.title }}</h2>
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}{% for block in section.blocks %}{% if block.svg is defined %}{{ figure(block) }}
{% elif block.terms is defined %}<dl>{% for word, meaning in block.terms %}<dt>{{ word }}</dt>
<dd>{{ meaning }}</dd>{% endfor %}</dl>
{% elif block.folded %}<details><summary>{{ block.folded }}</summary>{{ table(block) }}</details>
{% else %}{{ table(block) }}
{% endif %}{% endfor %}</section>
{% endfor %}<p class="about">{{ page.made_by }}</p></main></body></html>
"""

MACROS: Final = """{% macro long(cell) -%}
{% if cell|length > 22 %} class="long"{% endif %}
{%- endmacro %}
{% macro table(found) -%}
<div class="scroll{% if found.rows|length < 8 %} small{% endif %}" tabindex="0" \
role="region" aria-label="{{ found.caption }}"><table>
<caption>{{ found.caption }}</caption>
<thead><tr>{% for cell in found.head %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in found.rows %}<tr>{% for cell in row %}{% if loop.first %}\
<th scope="row"{{ long(cell) }}>{{ cell }}</th>{% elif cell.src is defined %}\
<td><img src="{{ cell.src }}" alt="{{ cell.alt }}" width="{{ cell.width }}" \
height="{{ cell.height }}"></td>{% else %}<td{{ long(cell) }}>{{ cell }}</td>\
{% endif %}{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{%- endmacro %}
{% macro figure(found) -%}
<figure>{% if found.title %}<h3>{{ found.title }}</h3>{% endif %}{{ found.svg }}\
<figcaption>{{ found.caption }}</figcaption>
<details><summary>{{ found.table.caption }}: the figures in a table</summary>\
{{ table(found.table) }}</details></figure>
{%- endmacro %}
"""
