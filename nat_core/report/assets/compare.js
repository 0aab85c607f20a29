// The page of several runs beside each other.

function comparePage(all) {
  document.title = `${all.name} · nat compare`;
  const names = all.runs.map((r) => r.name);
  const head = html('header', {}, html('p', {class: 'eyebrow'}, 'nat compare'), html('h1', {}, listed(names)), html('p', {class: 'lead'}, verdict(all)));
  const view = {x: 1, y: 0};
  const place = chart((width) => overlay(all, view, width));
  const menu = (axis) => {
    const select = html('select', {'aria-label': axis === 'x' ? 'To the right' : 'Upwards', on: {change: () => { view[axis] = Number(select.value); place.again(); }}},
      all.objectives.map((o, k) => html('option', {value: k, selected: k === view[axis]}, o.label)));
    return html('label', {}, axis === 'x' ? 'to the right' : 'upwards', select);
  };
  const tools = all.objectives.length > 2 ? html('div', {class: 'tools'}, menu('y'), menu('x')) : null;
  const nodes = [head,
    section('The fronts', 'Every objective is better the lower it is. Each run has a colour and a shape of its own; what else it measured is faint.', tools, place, seriesLegend(names)),
    standings(all)];
  if (all.shared) nodes.push(section('Hypervolume', 'With one reference point for all: the worst of everything that the first samples held, and a margin.', volumes(all), seriesLegend(names)));
  else nodes.push(section('Hypervolume', 'The runs do not have the same objectives, so there is no hypervolume that they share.'));
  nodes.push(differences(all));
  return nodes;
}

function verdict(all) {
  if (!all.shared) return `${plural(all.runs.length, 'run')} in ${listed(all.objectives.map((o) => o.label))}.`;
  const ends = all.runs.map((r) => r.hypervolume.at(-1) ?? 0);
  const best = Math.max(...ends);
  const first = all.runs.filter((_, n) => ends[n] === best).map((r) => r.name);
  return `${plural(all.runs.length, 'run')}. The largest hypervolume, ${best.toFixed(4)}, is that of ${listed(first)}.`;
}

function overlay(all, view, width) {
  const fronts = all.runs.flatMap((r) => r.front.map((p) => p.f));
  const height = Math.round(Math.min(Math.max(width * 0.5, 320), 520));
  const axis = (k) => ({objective: all.objectives[k], range: ranged(fronts.map((p) => p[k]), 0.12)});
  const told = all.runs.map((r) => `${r.name} has ${plural(r.front.length, 'architecture')} on its front`).join('; ');
  const f = framed(width, height, `Fronts: ${told}.`, axis(view.x), axis(view.y));
  const points = [];
  all.runs.forEach((run, n) => {
    const group = svg('g', {class: `s${(n % 6) + 1}`});
    for (const p of run.cloud) {
      const [x, y] = [f.sx.map(p[view.x]), f.sy.map(p[view.y])];
      if (x >= f.left && x <= f.right && y >= f.top && y <= f.bottom) group.append(svg('circle', {class: 'series-cloud', cx: x, cy: y, r: 2.5}));
    }
    const at = run.front.map((p) => ({run, point: p, x: f.sx.map(p.f[view.x]), y: f.sy.map(p.f[view.y])}));
    if (all.objectives.length === 2) group.append(svg('path', {class: 'series-line', 'stroke-opacity': 0.6, d: staircase(at.map((p) => [p.x, p.y]))}));
    for (const p of at) group.append(mark(SHAPES[n % 6], p.x, p.y, 4.5, {class: 'series-dot'}));
    points.push(...at);
    f.picture.append(group);
  });
  const hint = svg('text', {class: 'strong halo hint', x: f.right, y: f.top - 6, 'text-anchor': 'end'});
  f.picture.append(hint);
  nearest(f.picture, points, 24, (p) => {
    hint.textContent = p ? `${p.run.name}: ${all.objectives.map((o, k) => `${o.label} ${said(o, p.point.f[k])}`).join(', ')}` : '';
  });
  return f.picture;
}

function standings(all) {
  const least = (run, k) => Math.min(...run.front.map((p) => p.f[k]));
  const columns = [
    {title: 'run', value: (r) => r.name, text: (r) => r.name},
    ...(all.shared ? [{title: 'hypervolume', value: (r) => r.hypervolume.at(-1) ?? 0, text: (r) => (r.hypervolume.at(-1) ?? 0).toFixed(4)}] : []),
    {title: 'measured', value: (r) => r.measured, text: (r) => r.measured.toLocaleString('en')},
    {title: 'failed', value: (r) => r.failed, text: (r) => r.failed.toLocaleString('en')},
    {title: 'on the front', value: (r) => r.front.length, text: (r) => String(r.front.length)},
    ...all.objectives.map((o, k) => ({title: `least ${o.label}`, value: (r) => (r.front.length ? least(r, k) : null), text: (r) => (r.front.length ? said(o, least(r, k)) : '–')})),
    {title: 'time, s', value: (r) => r.seconds, text: (r) => r.seconds.toLocaleString('en')},
    {title: 'state', value: (r) => String(r.finished), text: (r) => (r.finished ? 'finished' : 'not finished')},
  ];
  return section('Side by side', null, sortable('The runs, one a row', columns, all.runs));
}

function volumes(all) {
  const runs = all.runs.filter((r) => r.hypervolume.length);
  const most = Math.max(...runs.flatMap((r) => r.evaluations), 1);
  const x = {objective: {label: 'architectures measured', unit: ''}, range: [0, most], whole: true};
  const series = all.runs.map((r) => ({name: r.name, values: r.hypervolume, at: r.evaluations, text: (v) => v.toFixed(3)}));
  return lines('Hypervolume', x, {objective: {label: 'hypervolume', unit: ''}, range: ranged(series.flatMap((s) => s.values), 0.1)}, series, {several: true, height: 320});
}

function differences(all) {
  if (!all.settings.length) return section('Settings', 'The runs have the same settings.');
  const rows = all.settings.map(([key, values]) => [key, ...values]);
  return section('Settings that differ', null, plainTable('Settings that differ', ['setting', ...all.runs.map((r) => r.name)], rows, all.runs.map((_, n) => n + 1)));
}
