// Charts of lines and points. Each is drawn for the width it is given, and anew when that changes.

/** Never drawn smaller than this, on a screen: what is wider than its place is scrolled. */
function unshrinking(picture, width) {
  picture.style.minWidth = `${width}px`;
  return picture;
}

/** A place for a chart. `draw(width)` gives an SVG element. */
function chart(draw) {
  const host = html('div', {class: 'chart'});
  let width = 0;
  function redraw(now) {
    if (!now || Math.abs(now - width) < 1) return;
    width = now;
    host.replaceChildren(draw(Math.max(width, 220)));
  }
  host.again = () => { const now = width; width = 0; redraw(now); };
  new ResizeObserver((entries) => redraw(entries[0].contentRect.width)).observe(host);
  return host;
}

/** An SVG with axes: `x` and `y` are {objective, range}. Gives the drawing and its two scales. */
function framed(width, height, label, x, y, options = {}) {
  const right = options.right || 16;
  const [top, bottom] = [30, height - 40];
  const sy = scale(y.objective, y.range, bottom, top, Math.max(Math.floor((bottom - top) / 52), 2));
  const left = 14 + 7 * Math.max(...sy.ticks.map((t) => t.text.length), 1);
  const sx = scale(x.objective, x.range, left, width - right, Math.max(Math.floor((width - left) / 90), 2));
  if (options.whole) sx.ticks = sx.ticks.map((t) => ({...t, text: t.text.replace(/\.0+$/, '')})).filter((t) => /^[\d,]+$/.test(t.text));
  const picture = svg('svg', {viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label});
  for (const tick of sy.ticks) {
    picture.append(svg('line', {class: 'grid', x1: left, x2: width - right, y1: tick.at, y2: tick.at}));
    picture.append(svg('text', {x: left - 8, y: tick.at + 4, 'text-anchor': 'end'}, tick.text));
  }
  for (const tick of sx.ticks) {
    picture.append(svg('line', {class: 'base', x1: tick.at, x2: tick.at, y1: bottom, y2: bottom + 5}));
    picture.append(svg('text', {x: tick.at, y: bottom + 19, 'text-anchor': 'middle'}, tick.text));
  }
  picture.append(svg('line', {class: 'base', x1: left, x2: width - right, y1: bottom, y2: bottom}));
  picture.append(svg('text', {class: 'title', x: 0, y: 12}, sy.title));
  picture.append(svg('text', {class: 'title', x: width - right, y: height - 4, 'text-anchor': 'end'}, sx.title));
  return {picture, sx, sy, left, right: width - right, top, bottom};
}

const path = (points) => points.map(([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

/** The lower left boundary of a front: with so much of x, this is the least y that was measured. */
function staircase(points) {
  const steps = [];
  for (const [x, y] of [...points].sort((a, b) => a[0] - b[0] || b[1] - a[1])) {
    if (steps.length) steps.push([x, steps.at(-1)[1]]);
    steps.push([x, y]);
  }
  return path(steps);
}

const MARKS = {
  circle: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  diamond: (x, y, r) => `M${x} ${y - 1.3 * r}L${x + 1.3 * r} ${y}L${x} ${y + 1.3 * r}L${x - 1.3 * r} ${y}Z`,
  square: (x, y, r) => `M${x - 0.9 * r} ${y - 0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}Z`,
  triangle: (x, y, r) => `M${x} ${y - 1.2 * r}L${x + 1.15 * r} ${y + 0.9 * r}L${x - 1.15 * r} ${y + 0.9 * r}Z`,
  cross: (x, y, r) => `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}`,
  inverse: (x, y, r) => `M${x} ${y + 1.2 * r}L${x + 1.15 * r} ${y - 0.9 * r}L${x - 1.15 * r} ${y - 0.9 * r}Z`,
};
const SHAPES = ['circle', 'square', 'triangle', 'diamond', 'inverse', 'cross'];
const mark = (shape, x, y, r, attributes) => svg('path', {d: MARKS[shape](x, y, r), ...attributes});

/** A text over x that stays within [left, right]. */
function label(x, y, text, left, right, attributes = {}) {
  const half = 3.7 * text.length;
  return svg('text', {...attributes, x: Math.max(Math.min(x, right - half), left + half), y, 'text-anchor': 'middle'}, text);
}

/** Values of points under the pointer: the nearest one within reach is told to `show`, and null for none. */
function nearest(picture, points, reach, show) {
  function at(event) {
    const box = picture.getBoundingClientRect();
    const [zoomX, zoomY] = [picture.viewBox.baseVal.width / box.width, picture.viewBox.baseVal.height / box.height];
    const [x, y] = [(event.clientX - box.left) * zoomX, (event.clientY - box.top) * zoomY];
    let [best, distance] = [null, reach * reach];
    for (const point of points) {
      const d = (point.x - x) ** 2 + (point.y - y) ** 2 - (point.prefer || 0);
      if (d < distance) [best, distance] = [point, d];
    }
    return best;
  }
  picture.addEventListener('pointermove', (event) => show(at(event), false));
  picture.addEventListener('pointerleave', () => show(null, false));
  picture.addEventListener('click', (event) => show(at(event), true));
}

/** A line over iterations: {name, values, text} each; nulls are left out. The last value stands at its end. */
function lines(title, x, y, series, options = {}) {
  const told = series.map((s) => {
    const values = s.values.filter((v) => v !== null);
    return values.length ? `${s.name}: from ${s.text(values[0])} to ${s.text(values.at(-1))}` : '';
  });
  return chart((width) => {
    const f = framed(width, options.height || 250, `${title}. ${told.filter(Boolean).join('; ')}.`, x, y, {right: 56, whole: x.whole});
    for (const at of options.levels || []) {
      if (at >= f.sy.low && at <= f.sy.high) f.picture.append(svg('line', {class: 'even', x1: f.left, x2: f.right, y1: f.sy.map(at), y2: f.sy.map(at)}));
    }
    for (const at of options.starts || []) f.picture.append(svg('line', {class: 'even', x1: f.sx.map(at), x2: f.sx.map(at), y1: f.top, y2: f.bottom}));
    for (const row of options.behind || []) {
      f.picture.append(svg('path', {class: 'thin', d: path(row.map((v, i) => [f.sx.map(x.values[i]), f.sy.map(v)]))}));
    }
    const points = [];
    const ends = [];
    series.forEach((s, n) => {
      const place = options.several ? `s${(n % 6) + 1}` : '';
      const at = s.values.map((v, i) => (v === null ? null : {x: f.sx.map((s.at || x.values)[i]), y: f.sy.map(v), value: v, i, s})).filter(Boolean);
      if (!at.length) return;
      const group = svg('g', {class: place}, svg('path', {class: options.several ? 'series-line' : 'line', d: path(at.map((p) => [p.x, p.y]))}));
      const shape = options.several ? SHAPES[n % SHAPES.length] : 'circle';
      if (at.length <= 60) for (const p of at) group.append(mark(shape, p.x, p.y, 3.5, {class: options.several ? 'series-dot' : 'dot'}));
      const end = at.at(-1);
      const said = svg('text', {class: options.several ? 'series-text' : 'strong', x: end.x + 8}, s.text(end.value));
      ends.push({said, y: end.y + 4});
      group.append(said);
      f.picture.append(group);
      points.push(...at);
    });
    ends.sort((a, b) => a.y - b.y); // values at the ends of the lines make room for each other
    ends.forEach((end, n) => {
      if (n) end.y = Math.max(end.y, ends[n - 1].y + 13);
      end.said.setAttribute('y', end.y);
    });
    const hint = svg('text', {class: 'strong halo hint'});
    f.picture.append(hint);
    nearest(f.picture, points, 28, (p) => {
      const last = p && p.i === p.s.values.length - 1;
      hint.textContent = p && p.s.hint ? p.s.hint(p.i) : p && !last ? `${series.length > 1 ? `${p.s.name} ` : ''}${p.s.text(p.value)}` : '';
      const half = p && p.s.hint ? Math.max(60, 3.7 * hint.textContent.length) : 60;
      if (p) furnish(hint, {x: Math.min(Math.max(p.x, f.left + half - 60), f.right - half), y: Math.max(p.y - 10, 24), 'text-anchor': 'middle'}, []);
    });
    return f.picture;
  });
}
