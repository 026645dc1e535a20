"""Plots as SVG, written by hand: bars with their spread, and lines over a logarithmic axis."""
import html
import math

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 190, 90, 56, 30
OURS, OTHERS, INK, FAINT = '#1b6ca8', '#9aa5b1', '#222222', '#dddddd'
STYLE = ('<style>text{font:13px sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}.small{font-size:11px;fill:#555}'
         '</style>')


def text(x, y, words, anchor='start', kind=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(str(words))}</text>'


def line(x1, y1, x2, y2, color=INK, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def page(height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
            f'{STYLE}<rect width="{WIDTH}" height="{height}" fill="white"/>' + ''.join(parts) + '</svg>\n')


def ticks(low, high):
    """1, 2 and 5 times powers of ten."""
    found = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        found += [m * 10.0 ** power for m in (1, 2, 5)]
    return [t for t in found if low <= t <= high]


def number(value):
    return f'{value:.3g}' if value < 1000 else f'{value:.0f}'


def bars(title, note, rows, unit='ms'):
    """rows: [(name, summary with p10, median and p90, whether it is ours)], on a logarithmic scale."""
    low = min(r[1]['p10'] for r in rows) * 0.7
    high = max(r[1]['p90'] for r in rows) * 1.3
    height = TOP + ROW * len(rows) + 58
    span = WIDTH - LEFT - RIGHT

    def x(value):
        return LEFT + span * math.log(max(value, low) / low) / math.log(high / low)

    parts = [text(16, 28, title, kind='title')]
    bottom = TOP + ROW * len(rows)
    for t in ticks(low, high):
        parts += [line(x(t), TOP - 6, x(t), bottom, FAINT), text(x(t), bottom + 16, number(t), 'middle', 'small')]
    for i, (name, s, ours) in enumerate(rows):
        y = TOP + ROW * i
        parts += [text(LEFT - 8, y + 17, name, 'end'),
                  f'<rect x="{LEFT}" y="{y + 4}" width="{x(s["median"]) - LEFT:.1f}" height="{ROW - 12}" '
                  f'fill="{OURS if ours else OTHERS}"/>',
                  line(x(s['p10']), y + 13, x(s['p90']), y + 13), line(x(s['p10']), y + 9, x(s['p10']), y + 17),
                  line(x(s['p90']), y + 9, x(s['p90']), y + 17),
                  text(x(s['p90']) + 6, y + 17, f'{number(s["median"])} {unit}')]
    parts.append(text(16, bottom + 44, note, kind='small'))
    return page(height, parts)


def lines(title, note, series, across, along, log_y=False):
    """series: {name: {x: y}}; x on a logarithmic axis."""
    xs = sorted({x for points in series.values() for x in points})
    top_value = max(y for points in series.values() for y in points.values()) * 1.15
    height, bottom = 360, 290
    span, tall = WIDTH - 90 - 190, bottom - TOP

    def x(value):
        return 90 + (span * math.log(value / xs[0]) / math.log(xs[-1] / xs[0]) if len(xs) > 1 else span / 2)

    def y(value):
        return bottom - tall * value / top_value

    parts = [text(16, 28, title, kind='title'), text(90 + span / 2, bottom + 36, across, 'middle'),
             text(16, TOP - 8, along, kind='small')]
    step = 10.0 ** math.floor(math.log10(top_value))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if top_value / s <= 8)
    for i in range(int(top_value / step) + 1):
        parts += [line(90, y(i * step), 90 + span, y(i * step), FAINT), text(84, y(i * step) + 4, number(i * step), 'end', 'small')]
    for value in xs:
        parts.append(text(x(value), bottom + 16, value, 'middle', 'small'))
    colors = [OURS, '#c25b12', '#3a7d44', OTHERS, '#7b4fa3']
    last = 0
    for (name, points), color in sorted(zip(series.items(), colors), key=lambda p: -max(p[0][1].values())):
        way = ' '.join(f'{x(a):.1f},{y(b):.1f}' for a, b in sorted(points.items()))
        parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{color}"/>' for a, b in points.items()]
        end = max(y(points[max(points)]) + 4, last + 16)
        last = end
        parts.append(f'<text x="{90 + span + 10}" y="{end:.1f}" style="fill:{color}">{html.escape(name)}</text>')
    parts.append(text(16, height - 12, note, kind='small'))
    return page(height, parts)
