# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How the review page looks: readable on a phone and on a wide screen, in light and dark."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #555; --paper: #fff; --edge: #8a8a8a;
  --plain: #f3f3f3; --negative: #b3420a; --neutral: #555; --positive: #00618f;
  --band: #d9d9d9; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2f2f2; --soft: #bbb; --paper: #161616;
  --edge: #8a8a8a; --plain: #262626; --negative: #ff9a5c; --neutral: #c8c8c8;
  --positive: #6cc5f2; --band: #444; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: .5rem .8rem 2rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.15rem; margin: .2rem 0 0; }
h2 { font-size: 1.1rem; margin: .6rem 0 .4rem; }
p { margin: .3rem 0; }
header p, figcaption, .note { color: var(--soft); font-size: .9rem; }
.progress { display: flex; gap: .6rem; align-items: center; font-size: .9rem; }
progress { flex: 1; height: .8rem; accent-color: var(--positive); }
#count { white-space: nowrap; }
[hidden] { display: none !important; }
#problem { border: 2px solid #c00; padding: .4rem .6rem; font-weight: 600; }
#pictures { display: flex; gap: .8rem; flex-wrap: wrap; align-items: flex-start; }
figure { margin: 0; }
#face { flex: 0 1 20rem; } #frame { flex: 1 1 20rem; max-width: 40rem; }
.shown { min-height: 6rem; background: var(--plain); }
.shown img { display: block; max-width: 100%; max-height: 46vh; height: auto; margin: 0 auto; }
table { border-collapse: collapse; margin: .4rem 0; width: 100%; }
th, td { white-space: nowrap; text-align: left; padding: .12rem .5rem .12rem 0;
  font-weight: normal; }
td.number { text-align: right; width: 3.5rem; font-variant-numeric: tabular-nums; }
td.bar { width: 60%; } td svg { display: block; width: 100%; height: .8rem; }
.answer { font-weight: 700; }
.negative { --own: var(--negative); } .neutral { --own: var(--neutral); }
.positive { --own: var(--positive); }
.answer.negative, .answer.neutral, .answer.positive { color: var(--own); }
td svg rect { fill: var(--own, var(--edge)); }
#details { display: flex; flex-wrap: wrap; gap: .3rem 2rem; }
#said { flex: 1 1 19rem; max-width: 34rem; } #line { flex: 1 1 19rem; max-width: 34rem; }
#line svg { display: block; width: 100%; height: auto; }
#line rect { fill: var(--band); } #line .zero { stroke: var(--edge); stroke-dasharray: 4 4; }
#line .value { fill: none; stroke: var(--ink); stroke-width: 2; }
#line .now { stroke: var(--positive); stroke-width: 2; }
#line text { fill: var(--soft); font-size: 13px; }
#answers { margin-bottom: .4rem; }
#keys { background: var(--paper); padding: .2rem 0; margin-top: .5rem; }
#before { font-weight: 600; }
.row { display: flex; gap: .5rem; margin: .4rem 0; }
button { flex: 1 1 0; min-height: 2.75rem; padding: .3rem .2rem; font: inherit; color: var(--ink);
  background: var(--plain); border: 1px solid var(--edge); border-radius: .4rem; cursor: pointer; }
.classes button { border: 2px solid var(--own); }
button:hover:enabled { border-color: var(--ink); }
button:focus-visible { outline: 3px solid var(--positive); outline-offset: 2px; }
button:disabled { opacity: .45; cursor: default; }
button[aria-pressed="true"] { background: var(--ink); color: var(--paper); }
kbd { font: 600 .85em ui-monospace, monospace; border: 1px solid currentColor;
  border-radius: .25rem; padding: 0 .3rem; }
dt { margin-top: .5rem; } dd { margin-left: 1.2rem; }
@media (max-width: 30rem) {
  #face { flex-basis: 100%; } #frame { flex-basis: 100%; }
  .shown img { max-height: 26vh; } .shown { min-height: 0; }
  h1, h2 { font-size: 1rem; } header p { font-size: .82rem; }
  button { font-size: .92rem; } .row { gap: .35rem; margin: .35rem 0; }
}
@media (min-width: 60rem) { .row { max-width: 46rem; } }
/* The answers stay in view where there is room for them and for a face. */
@media (min-height: 40rem) {
  #keys { position: sticky; bottom: 0; border-top: 1px solid var(--edge); }
}
"""
