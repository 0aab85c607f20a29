// The page of one run.

/** What is looked at: `shown` follows the pointer and the keyboard, `chosen` stays until another is chosen. */
class Selection {
  constructor(chosen) {
    this.chosen = chosen;
    this.shown = chosen;
    this.listeners = [];
  }

  /** Call a listener with the point that is shown, now and whenever that changes. */
  follow(listener) {
    this.listeners.push(listener);
    listener(this.shown);
  }

  look(point) {
    const next = point ?? this.chosen;
    if (next === this.shown) return;
    this.shown = next;
    for (const listener of this.listeners) listener(next);
  }

  choose(point) {
    this.chosen = point;
    this.look(point);
  }
}

function runPage(run) {
  document.title = `${run.subject} · nat report`;
  const nodes = [header(run)];
  if (!run.points.length) {
    nodes.push(html('div', {class: 'empty'}, html('h2', {}, 'Nothing has been measured yet'),
      html('p', {class: 'note'}, run.failures.length
        ? 'Every measurement failed so far; the reasons are below.'
        : 'The run has not come to its first measurement. The page is written anew after each iteration.'),
      html('div', {class: 'commands'}, command(`nat resume ${quoted(runFolder(run.name))}`))));
  } else {
    const about = new About(run);
    const selection = new Selection(run.knee ? run.knee.point : run.front[0]);
    nodes.push(figures(run), frontSection(about, selection));
    if (run.objectives.length > 2) nodes.push(parallelSection(about, selection));
    nodes.push(tableSection(about, selection), progressSection(run), predictionSection(about, selection), choiceSection(run));
  }
  nodes.push(failureSection(run), provenanceSection(run));
  return nodes.filter(Boolean);
}

/** A run, and what is asked of it again and again. */
class About {
  constructor(run) {
    this.run = run;
    this.onFront = new Set(run.front);
    this.knee = run.knee ? run.knee.point : -1;
    this.deepest = [];
    for (const p of run.points) p.drawn.forEach((stage, g) => { this.deepest[g] = Math.max(this.deepest[g] || 0, stage.length); });
    this.tests = run.objectives.filter((o) => run.points.some((p) => p.test && o.name in p.test));
  }

  /** A point in words. */
  words(i) {
    const point = this.run.points[i];
    const values = this.run.objectives.map((o, k) => `${o.label} ${said(o, point.f[k])}`);
    return `${point.name}: ${values.join(', ')}${i === this.knee ? '. The knee' : ''}`;
  }
}

function header(run) {
  const state = run.finished ? 'finished' : `not finished: iteration ${Math.max(run.iterations.length - 1, 0)} of ${run.planned}`;
  return html('header', {}, html('p', {class: 'eyebrow'}, `nat report · ${run.name} · ${state}`), html('h1', {}, run.subject),
    run.points.length ? html('p', {class: 'lead'}, lead(run)) : null);
}

/** The result in two sentences. */
function lead(run) {
  const [best, knee] = [run.points[run.front[0]], run.knee && run.points[run.knee.point]];
  const amount = (o, value) => `${brief(o, value)} ${o.label}`;
  const values = (point) => listed(run.objectives.slice(0, 3).map((o, k) => amount(o, point.f[k])));
  const first = `${plural(run.measured, 'architecture')} measured, ${run.feasible
    ? `${run.front.length === 1 ? 'one of them is' : `${run.front.length} of them are`} on the Pareto front`
    : 'none of which meets the constraints; shown are those that violate them least'}.`;
  const second = ` The least ${run.objectives[0].label} is ${brief(run.objectives[0], best.f[0])}, at ${listed(run.objectives.slice(1, 3).map((o, k) => amount(o, best.f[k + 1])))}.`;
  const third = knee && knee !== best ? ` The knee of the front has ${values(knee)}.` : '';
  return first + second + third;
}

function figures(run) {
  const last = run.iterations.at(-1);
  const first = run.iterations[0];
  const exact = run.hypervolume_method === 'exact';
  const gain = run.iterations.length > 1 ? `from ${first.hypervolume.toFixed(3)} in the first sample` : 'of the first sample';
  const best = run.points[run.front[0]];
  const objective = run.objectives[0];
  const test = best.test && best.test[objective.name];
  const untested = objective.validated ? 'on the validation split' : 'of all measured';
  const cells = [
    ['architectures measured', run.measured.toLocaleString('en'), run.iterations.length > 1 ? `in a first sample and ${plural(run.iterations.length - 1, 'iteration')}` : 'in a first sample'],
    ['on the front', run.front.length.toLocaleString('en'), run.feasible ? `of ${run.objectives.length} objectives` : 'none meets the constraints'],
    ['hypervolume', `${exact ? '' : '≈ '}${last.hypervolume.toFixed(3)}`, exact ? gain : `${gain}, by ${run.hypervolume_method}`],
    [`least ${objective.label}`, said(objective, best.f[0]), test === undefined ? untested : `${said(objective, test)} on the test split`],
  ];
  return html('dl', {class: 'figures'}, cells.map(([word, value, note]) => html('div', {}, html('dt', {}, word), html('dd', {}, value, html('small', {}, note)))));
}

// ---- the front ------------------------------------------------------------------------------------------------------

function frontSection(about, selection) {
  const {run} = about;
  const view = {x: 1, y: 0, near: isFarFlung(run, 1, 0)};
  const place = chart((width) => frontChart(about, selection, view, width, place));
  const menu = (axis) => {
    const select = html('select', {'aria-label': axis === 'x' ? 'To the right' : 'Upwards', on: {change: () => { view[axis] = Number(select.value); place.again(); }}},
      run.objectives.map((o, k) => html('option', {value: k, selected: k === view[axis]}, o.label)));
    return html('label', {}, axis === 'x' ? 'to the right' : 'upwards', select);
  };
  const zoom = html('button', {type: 'button', 'aria-pressed': String(view.near), on: {click: () => {
    view.near = !view.near;
    zoom.setAttribute('aria-pressed', String(view.near));
    zoom.textContent = view.near ? 'Show all measured' : 'Show the front closely';
    place.again();
  }}}, view.near ? 'Show all measured' : 'Show the front closely');
  const tools = html('div', {class: 'tools'}, run.objectives.length > 2 ? [menu('y'), menu('x')] : null, zoom);
  const two = run.objectives.length === 2;
  const entries = [
    [mark('circle', 0, 0, 5, {class: 'front'}), `Pareto front (${run.front.length})`],
    [mark('diamond', 0, 0, 5, {class: 'knee'}), 'knee'],
    [mark('circle', 0, 0, 3.5, {class: 'cloud'}), `measured (${run.points.length - run.front.length} more)`],
  ];
  if (run.points.length === run.front.length) entries.pop();
  if (!run.knee) entries.splice(1, 1);
  if (run.points.some((p) => p.violation)) entries.push([mark('cross', 0, 0, 3.5, {class: 'outside'}), 'outside the constraints']);
  if (run.objectives.some((o, k) => o.bounds.some(([, bound]) => within(bound, ranged(run.points.map((p) => p.f[k])))))) entries.push([svg('line', {class: 'bound', x1: -9, x2: 9}), 'constraint']);
  const note = `Every objective is better the lower it is, so the best networks are ${two ? 'at the lower left' : 'low on every axis'}. Point at a network, tap it, or go along the front with the arrow keys.`;
  return section('The front', note, html('div', {class: 'beside'}, html('div', {}, tools, place, legend(entries)), detail(about, selection)));
}

const within = (value, [low, high]) => value >= low && value <= high;

/** Whether the front takes so little of the picture of all that it deserves one of its own. */
function isFarFlung(run, x, y) {
  if (run.front.length < 2) return false;
  return [x, y].some((k) => {
    const [low, high] = ranged(run.points.map((p) => p.f[k]), 0);
    const [a, b] = ranged(run.front.map((i) => run.points[i].f[k]), 0);
    return b - a < 0.4 * (high - low);
  });
}

function frontChart(about, selection, view, width, place) {
  const {run} = about;
  const [ox, oy] = [run.objectives[view.x], run.objectives[view.y]];
  const of = (indices, k) => indices.map((i) => run.points[i].f[k]);
  const all = run.points.map((_, i) => i);
  const range = (k) => (view.near ? ranged(of(run.front, k), 0.22) : ranged(of(all, k)));
  const height = Math.round(Math.min(Math.max(width * 0.78, 320), 540));
  const f = framed(width, height, '', {objective: ox, range: range(view.x)}, {objective: oy, range: range(view.y)});
  furnish(f.picture, {role: 'group', 'aria-label': `Pareto front: ${oy.label} against ${ox.label}, ${plural(run.front.length, 'architecture')}. The same numbers are in the table below.`}, []);
  const inside = (p) => p.x >= f.left - 1 && p.x <= f.right + 1 && p.y >= f.top - 1 && p.y <= f.bottom + 1;
  const points = all.map((i) => ({i, x: f.sx.map(run.points[i].f[view.x]), y: f.sy.map(run.points[i].f[view.y]), prefer: about.onFront.has(i) ? 60 : 0}));
  const visible = points.filter(inside);
  for (const [objective, horizontal] of [[ox, false], [oy, true]]) {
    for (const [, bound] of objective.bounds) {
      const at = (horizontal ? f.sy : f.sx).map(bound);
      const ends = horizontal ? {x1: f.left, x2: f.right, y1: at, y2: at} : {x1: at, x2: at, y1: f.top, y2: f.bottom};
      if (horizontal ? at >= f.top && at <= f.bottom : at >= f.left && at <= f.right) f.picture.append(svg('line', {class: 'bound', ...ends}));
    }
  }
  for (const p of visible) {
    if (about.onFront.has(p.i)) continue;
    const attributes = run.points[p.i].violation ? ['cross', 'outside'] : ['circle', 'cloud'];
    f.picture.append(mark(attributes[0], p.x, p.y, 3.2, {class: attributes[1]}));
  }
  const front = run.front.map((i) => points[i]).sort((a, b) => a.x - b.x || b.y - a.y);
  if (run.objectives.length === 2) {
    const steps = front.map((p) => [p.x, p.y]);
    f.picture.append(svg('path', {class: 'stair', d: staircase(steps)}));
  }
  const ring = svg('circle', {class: 'ring', r: 9});
  const buttons = front.map((p) => svg('g', {class: 'point', role: 'button', tabindex: -1, 'aria-label': about.words(p.i), 'data-point': p.i},
    mark('circle', p.x, p.y, 5.2, {class: 'front'})));
  f.picture.append(...buttons);
  const knee = points[about.knee];
  if (knee && inside(knee)) {
    f.picture.append(mark('diamond', knee.x, knee.y, 6.2, {class: 'knee', 'pointer-events': 'none'}));
    f.picture.append(label(knee.x - 12, knee.y + 20, 'knee', f.left, f.right, {class: 'strong halo hint'}));
  }
  f.picture.append(ring);
  const hidden = points.length - visible.length;
  if (hidden) f.picture.append(svg('text', {x: f.right, y: f.top - 6, 'text-anchor': 'end'}, `${hidden.toLocaleString('en')} more lie outside this picture`));

  // One tab stop: the arrow keys go along the front, Enter or the space bar chooses.
  const current = () => Math.max(front.findIndex((p) => p.i === selection.shown), 0);
  function focus(n) {
    buttons.forEach((b, k) => b.setAttribute('tabindex', k === n ? 0 : -1));
    buttons[n].focus();
    selection.look(front[n].i);
  }
  buttons.forEach((button, n) => {
    button.addEventListener('focus', () => selection.look(front[n].i));
    button.addEventListener('keydown', (event) => {
      const to = {ArrowRight: n + 1, ArrowDown: n + 1, ArrowLeft: n - 1, ArrowUp: n - 1, Home: 0, End: front.length - 1}[event.key];
      if (to !== undefined) focus(Math.min(Math.max(to, 0), front.length - 1));
      else if (event.key === 'Enter' || event.key === ' ') selection.choose(front[n].i);
      else return;
      event.preventDefault();
    });
  });
  if (buttons.length) buttons[current()].setAttribute('tabindex', 0);
  nearest(f.picture, visible, 26, (p, chosen) => {
    if (chosen && p) selection.choose(p.i);
    else selection.look(p ? p.i : null);
  });
  place.mark = (i) => {
    const p = points[i];
    furnish(ring, {cx: p.x, cy: p.y, visibility: inside(p) ? 'visible' : 'hidden'}, []);
    front.forEach((q, n) => buttons[n].setAttribute('aria-pressed', String(q.i === i)));
  };
  place.mark(selection.shown);
  if (!place.followed) {
    place.followed = true;
    selection.follow((i) => place.mark(i));
  }
  return f.picture;
}

/** What is known of the architecture that is shown. */
function detail(about, selection) {
  const {run} = about;
  const badges = html('div', {class: 'badges'});
  const name = html('p', {class: 'name'});
  const values = html('div');
  const picture = html('div', {class: 'drawing'});
  const reason = html('p', {class: 'reason'});
  const commands = html('div', {class: 'commands'});
  const key = run.blocks.some((b) => b.label.includes('expansion'))
    ? 'A bar is a layer: its width and number are the kernel, its height is the expansion; a dashed line is a layer left out.'
    : 'A bar is a layer, or a variable of the space: the taller, the later its choice comes in the space.';
  const heard = html('p', {class: 'hidden', 'aria-live': 'polite'});
  const host = html('aside', {class: 'detail', 'aria-label': 'The architecture that is shown'}, badges, name, values, picture, html('p', {class: 'reason'}, key), reason, commands, heard);
  selection.follow((i) => {
    const point = run.points[i];
    const marks = [about.onFront.has(i) && ['badge is-front', 'on the front'], i === about.knee && ['badge is-knee', 'knee'],
      point.violation && ['badge', 'outside the constraints'], !about.onFront.has(i) && !point.violation && ['badge', 'dominated'],
      ['badge', point.found ? `found in iteration ${point.found}` : 'of the first sample']];
    badges.replaceChildren(...marks.filter(Boolean).map(([kind, text]) => html('span', {class: kind}, text)));
    name.textContent = point.name;
    const tests = about.tests.length > 0;
    const rows = run.objectives.map((o, k) => html('tr', {}, html('th', {scope: 'row'}, o.label), html('td', {}, said(o, point.f[k])),
      tests && html('td', {}, point.test && o.name in point.test ? said(o, point.test[o.name]) : '')));
    const facts = point.facts.map(([word, value]) => html('tr', {}, html('th', {scope: 'row'}, word), html('td', {}, value), tests && html('td', {}, '')));
    const heads = tests && html('thead', {}, html('tr', {}, html('th', {}, html('span', {class: 'hidden'}, 'objective')), html('th', {scope: 'col'}, 'validation'), html('th', {scope: 'col'}, 'test')));
    values.replaceChildren(html('table', {class: 'values'}, html('caption', {class: 'hidden'}, `Values of ${point.name}`), heads, html('tbody', {}, rows, facts)));
    picture.replaceChildren(drawing(point, run.blocks, about.deepest));
    reason.textContent = i === about.knee ? run.knee.reason : '';
    const folder = quoted(runFolder(run.name));
    commands.replaceChildren(command(`nat export ${folder} ${quoted(point.name)} --format onnx`), command(`nat finetune ${folder} ${quoted(point.name)}`));
    heard.textContent = about.words(i);
  });
  return host;
}

// ---- many objectives ------------------------------------------------------------------------------------------------

function parallelSection(about, selection) {
  const {run} = about;
  const behind = run.points.map((_, i) => i).filter((i) => !about.onFront.has(i));
  const some = behind.filter((_, n) => n % Math.max(Math.ceil(behind.length / 250), 1) === 0);
  const host = chart((width) => {
    const room = Math.max(width, Math.max(76, ...run.objectives.map((o) => 7 * o.label.length + 14)) * run.objectives.length);
    const [top, bottom, height] = [46, 300, 330];
    const across = (k) => 44 + (k * (room - 88)) / (run.objectives.length - 1);
    const ranges = run.objectives.map((_, k) => ranged(run.front.map((i) => run.points[i].f[k]), 0));
    const up = (k, v) => bottom - ((v - ranges[k][0]) / (ranges[k][1] - ranges[k][0] || 1)) * (bottom - top);
    const within = (i) => run.objectives.every((_, k) => run.points[i].f[k] <= ranges[k][1] + 1e-12 && run.points[i].f[k] >= ranges[k][0]);
    const picture = svg('svg', {viewBox: `0 0 ${room} ${height}`, width: room, height, role: 'img', 'aria-label': `Parallel coordinates of the front: ${run.objectives.map((o, k) => `${o.label} from ${said(o, ranges[k][0])} to ${said(o, ranges[k][1])}`).join('; ')}`});
    const line = (i) => path(run.objectives.map((_, k) => [across(k), up(k, run.points[i].f[k])]));
    for (const i of some.filter(within)) picture.append(svg('path', {class: 'thin', d: line(i)}));
    for (const i of run.front) picture.append(svg('path', {class: 'line', 'stroke-opacity': run.front.length > 40 ? 0.3 : 0.5, 'stroke-width': 1.5, d: line(i)}));
    run.objectives.forEach((o, k) => {
      picture.append(svg('line', {class: 'base', x1: across(k), x2: across(k), y1: top, y2: bottom}));
      picture.append(label(across(k), 14, o.label, 0, room, {class: 'strong'}));
      picture.append(label(across(k), 32, said(o, ranges[k][1]), 0, room), label(across(k), bottom + 20, said(o, ranges[k][0]), 0, room));
    });
    const bold = svg('g', {class: 'hint'});
    picture.append(bold);
    host.mark = (i) => {
      const f = run.points[i].f;
      bold.replaceChildren(svg('path', {class: 'marked', d: line(i)}), ...run.objectives.map((o, k) => mark('diamond', across(k), up(k, f[k]), 4, {class: 'knee'})),
        ...run.objectives.map((o, k) => (up(k, f[k]) > top + 8 && up(k, f[k]) < bottom - 8 ? label(across(k) + 4, up(k, f[k]) - 9, said(o, f[k]), 0, room, {class: 'strong halo'}) : '')).filter(Boolean));
    };
    host.mark(selection.shown);
    if (!host.followed) {
      host.followed = true;
      selection.follow((i) => host.mark(i));
    }
    const targets = run.front.flatMap((i) => run.objectives.map((_, k) => ({i, x: across(k), y: up(k, run.points[i].f[k])})));
    nearest(picture, targets, 30, (p, chosen) => {
      if (chosen && p) selection.choose(p.i);
      else selection.look(p ? p.i : null);
    });
    return unshrinking(picture, room);
  });
  return section('All objectives', 'A line is an architecture of the front, an axis an objective, lower is better; the thick line is the one that is shown. Lines that cross between two axes trade one objective for the other.', html('div', {class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Parallel coordinates'}, host));
}

// ---- the table ------------------------------------------------------------------------------------------------------

function tableSection(about, selection) {
  const {run} = about;
  const columns = [
    {title: 'architecture', value: (i) => run.points[i].name, cell: (i) => html('button', {type: 'button', class: 'pick', on: {click: () => selection.choose(i)}}, run.points[i].name, i === about.knee ? ' ◆ knee' : '')},
    ...run.objectives.map((o, k) => ({title: o.label, value: (i) => run.points[i].f[k], text: (i) => said(o, run.points[i].f[k])})),
    ...about.tests.map((o) => ({title: `${o.label} (test)`, value: (i) => run.points[i].test?.[o.name] ?? null, text: (i) => said(o, run.points[i].test?.[o.name])})),
    ...(run.points[0]?.facts ?? []).map(([word], n) => ({title: word, value: (i) => parseFloat(run.points[i].facts[n]?.[1]) || 0, text: (i) => run.points[i].facts[n]?.[1] ?? ''})),
    {title: 'found in', value: (i) => run.points[i].found, text: (i) => (run.points[i].found ? `iteration ${run.points[i].found}` : 'first sample')},
  ];
  const table = sortable('The front, an architecture a row', columns, run.front, {sorted: 1});
  let last = null;
  selection.follow((i) => {
    last?.classList.remove('chosen');
    last = table.elements.get(i);
    last?.classList.add('chosen');
  });
  const rest = run.points.map((_, i) => i).filter((i) => !about.onFront.has(i));
  const more = html('details', {class: 'screen', on: {toggle: () => {
    if (more.open && more.children.length === 1) more.append(sortable('All others that were measured', columns, rest, {sorted: 1}));
  }}}, html('summary', {}, rest.length === 1 ? 'The other architecture that was measured' : `The ${plural(rest.length, 'other architecture')} that were measured`));
  return section('The front as a table', 'A heading sorts by its column; the name of an architecture shows it above.', table, rest.length ? more : null);
}

// ---- iterations -----------------------------------------------------------------------------------------------------

function progressSection(run) {
  const steps = run.iterations.map((_, i) => i);
  if (steps.length < 2 && !run.training.length) return null;
  const plainly = {label: 'iteration', unit: ''};
  const x = {objective: plainly, range: [0, Math.max(steps.at(-1), 1)], values: steps, whole: true};
  const volumes = run.iterations.map((r) => r.hypervolume);
  const share = {label: `hypervolume${run.hypervolume_method === 'exact' ? '' : ` by ${run.hypervolume_method}`}`, unit: ''};
  const panels = [];
  if (steps.length > 1) panels.push(html('figure', {}, lines('Hypervolume by iteration', x, {objective: share, range: ranged(volumes, 0.15)}, [{name: 'hypervolume', values: volumes, text: (v) => v.toFixed(3)}]),
    html('p', {class: 'note'}, 'The share of the box up to the worst of the first sample that the front dominates. It may fall where new weights made measured networks worse.')));
  const ranked = run.objectives.filter((o) => run.iterations.some((r) => typeof r.correlation[o.name] === 'number'));
  if (ranked.length) {
    const series = ranked.map((o) => ({name: o.label, values: run.iterations.map((r) => r.correlation[o.name] ?? null), text: (v) => v.toFixed(2)}));
    const values = series.flatMap((s) => s.values).filter((v) => v !== null);
    panels.push(html('figure', {}, lines('Rank correlation by iteration', x, {objective: {label: "Kendall's tau of predicted and measured", unit: ''}, range: [Math.min(0, ...values) - 0.05, 1.02]}, series, {levels: [0], several: series.length > 1}),
      series.length > 1 ? seriesLegend(series.map((s) => s.name)) : null,
      html('p', {class: 'note'}, 'How well the surrogate ranked each batch before it was measured: 1 is the right order, 0 is chance. A batch is small, so it jumps.')));
  }
  panels.push(...run.training.map((t) => trainingFigure(run, t)));
  for (const a of run.adaptation) {
    const o = run.objectives[a.objective];
    const at = {objective: {label: 'weights after iteration', unit: ''}, range: [a.versions[0], a.versions.at(-1)], values: a.versions, whole: true};
    panels.push(html('figure', {}, lines(`${o.label} of the same networks as the weights adapt`, at, {objective: {...o, label: `${o.label} of the same networks`}, range: ranged([...a.lines.flat(), ...a.median])}, [{name: 'median', values: a.median, text: (v) => said(o, v)}], {behind: a.lines}),
      html('p', {class: 'note'}, `Adaptation: ${plural(a.networks, 'network')} measured by the weights of every point; the thick line is their median.`)));
  }
  const spent = spentFigure(run);
  if (spent) panels.push(spent);
  const heads = ['iteration', 'measured', 'on the front', 'hypervolume', ...ranked.map((o) => `tau of ${o.label}`), 'adapting, s', 'measuring, s', 'searching, s'];
  const rows = run.iterations.map((r, i) => [String(i), r.measured.toLocaleString('en'), String(r.front), r.hypervolume.toFixed(4), ...ranked.map((o) => (typeof r.correlation[o.name] === 'number' ? r.correlation[o.name].toFixed(2) : '–')),
    ...['adapt', 'measure', 'search'].map((part) => r.seconds[part].toLocaleString('en', {maximumFractionDigits: 1}))]);
  const notes = run.iterations.flatMap((r, i) => Object.entries(r.surrogates).map(([name, text]) => [`iteration ${i}, ${name}`, text]));
  return section('Iteration by iteration', null, html('div', {class: 'pair'}, panels),
    html('details', {}, html('summary', {}, 'The same as a table'), plainTable('Iterations', heads, rows)),
    run.training.map((t) => html('details', {}, html('summary', {}, `${trainingTitle(run, t)} as a table`),
      plainTable(trainingTitle(run, t), ['iteration', 'epoch', 'mean loss'], t.rows.map(([i, epoch, loss]) => [String(i), String(epoch), lossText(loss)])))),
    notes.length ? html('details', {}, html('summary', {}, 'What the surrogates said of themselves'), definitions(notes)) : null);
}

const lossText = (loss) => (loss === null ? '–' : loss.toPrecision(4));
const trainingTitle = (run, t) => `Training loss${run.training.length > 1 ? ` for ${run.objectives[t.objective].label}` : ''} by epoch of adaptation`;

/** How the supernet learnt: the mean loss of every epoch, one iteration behind the other. */
function trainingFigure(run, told) {
  const {rows} = told;
  const places = rows.map((_, n) => n + 1);
  const starts = places.filter((n) => n > 1 && rows[n - 1][0] !== rows[n - 2][0]);
  const x = {objective: {label: 'epoch of adaptation', unit: ''}, range: [1, Math.max(places.length, 2)], values: places, whole: true};
  const losses = rows.map(([, , loss]) => loss);
  const place = ([i, epoch]) => `iteration ${i}, epoch ${epoch}: `;
  const series = {name: 'mean loss', values: losses, text: lossText, hint: (n) => place(rows[n]) + lossText(losses[n])};
  const iterations = new Set(rows.map(([i]) => i));
  const some = iterations.size < run.iterations.length ? ` The journal holds it of ${iterations.size} of the ${run.iterations.length} adaptations.` : '';
  return html('figure', {}, lines(trainingTitle(run, told), x, {objective: {label: 'mean training loss', unit: ''}, range: ranged(losses.filter((v) => v !== null), 0.15)}, [series], {starts: starts.map((n) => n - 0.5)}),
    html('p', {class: 'note'}, `Adaptation: the loss that training lowers, over the networks and pictures of each epoch.${starts.length ? ' A line from top to bottom is where the next iteration begins, with new networks.' : ''}${some}`));
}

function seriesLegend(names) {
  return legend(names.map((name, n) => [svg('g', {class: `s${(n % 6) + 1}`}, mark(SHAPES[n % 6], 0, 0, 4, {class: 'series-dot'})), name]));
}

/** Where the time of each iteration went. */
function spentFigure(run) {
  const parts = [['adapt', 'adapting'], ['measure', 'measuring'], ['search', 'searching']];
  const totals = run.iterations.map((r) => parts.reduce((sum, [part]) => sum + r.seconds[part], 0));
  const most = Math.max(...totals);
  if (!(most > 0)) return null;
  const used = parts.filter(([part]) => run.iterations.some((r) => r.seconds[part] > 0.005 * most));
  const y = {objective: {label: most >= 180 ? 'minutes' : 'seconds', unit: ''}, range: [0, (most * 1.08) / (most >= 180 ? 60 : 1)]};
  const divide = most >= 180 ? 60 : 1;
  const picture = chart((width) => {
    const f = framed(width, 250, `Time by iteration: ${totals.map((t, i) => `${i}: ${t.toFixed(1)} s`).join('; ')}`, {objective: {label: 'iteration', unit: ''}, range: [-0.6, totals.length - 0.4]}, y, {whole: true});
    const room = ((f.right - f.left) / totals.length) * 0.62;
    run.iterations.forEach((r, i) => {
      let floor = 0;
      used.forEach(([part, word], n) => {
        const [a, b] = [f.sy.map(floor), f.sy.map(floor + r.seconds[part] / divide)];
        floor += r.seconds[part] / divide;
        if (a - b > 0.2) f.picture.append(svg('rect', {class: `s${n + 1} series-dot`, x: f.sx.map(i) - room / 2, y: b, width: room, height: a - b}, svg('title', {}, `iteration ${i}, ${word}: ${r.seconds[part].toFixed(1)} s`)));
      });
    });
    return f.picture;
  });
  const samples = used.map(([, word], n) => [svg('rect', {class: `s${n + 1} series-dot`, x: -6, y: -6, width: 12, height: 12}), word]);
  return html('figure', {}, picture, legend(samples), html('p', {class: 'note'}, used.length > 1 ? 'Where the time went, from the bottom up in this order.' : 'Where the time went.'));
}

// ---- predictions, choices -------------------------------------------------------------------------------------------

function predictionSection(about, selection) {
  const {run} = about;
  const panels = run.predictions.map(({objective, rows}) => {
    const o = run.objectives[objective];
    const newest = Math.max(...rows.map((r) => r[0]));
    const range = ranged(rows.flatMap((r) => [r[1], r[2]]));
    const errors = rows.map((r) => Math.abs(r[1] - r[2])).sort((a, b) => a - b);
    const middle = errors[Math.floor(errors.length / 2)];
    const place = chart((width) => {
      const side = Math.min(width, 460);
      const f = framed(side, side * 0.86, `${o.label}: predicted against measured, ${plural(rows.length, 'proposal')}; half are within ${said(o, middle)}`, {objective: {...o, label: `predicted ${o.label}`}, range}, {objective: {...o, label: `measured ${o.label}`}, range});
      f.picture.append(svg('line', {class: 'even', x1: f.sx.map(range[0]), y1: f.sy.map(range[0]), x2: f.sx.map(range[1]), y2: f.sy.map(range[1])}));
      const points = rows.map(([iteration, p, m, i]) => ({iteration, i, x: f.sx.map(p), y: f.sy.map(m), p, m}));
      for (const q of points) f.picture.append(mark('circle', q.x, q.y, 4, {class: q.iteration === newest ? 'dot' : 'hollow'}));
      const hint = svg('text', {class: 'strong halo hint', y: f.top - 6, x: f.right, 'text-anchor': 'end'});
      f.picture.append(hint);
      nearest(f.picture, points, 20, (q, chosen) => {
        hint.textContent = q ? `iteration ${q.iteration}: predicted ${said(o, q.p)}, measured ${said(o, q.m)}` : '';
        if (q && q.i >= 0) chosen ? selection.choose(q.i) : selection.look(q.i);
        else if (!q) selection.look(null);
      });
      furnish(f.picture, {width: side, style: undefined}, []);
      return f.picture;
    });
    place.classList.add('square');
    return html('figure', {}, place, legend([[mark('circle', 0, 0, 4, {class: 'dot'}), `iteration ${newest}`], [mark('circle', 0, 0, 4, {class: 'hollow'}), 'earlier'], [svg('line', {class: 'even', x1: -9, x2: 9}), 'as predicted']]),
      html('p', {class: 'note'}, `Half of the ${plural(rows.length, 'prediction')} are within ${said(o, middle).replace(/\s%/, ' percentage points')} of what was measured.`));
  });
  return panels.length ? section('Predicted and measured', 'What the surrogate said of each architecture before it was measured. On the dashed line it was right; below it, the network is better than predicted.', html('div', {class: 'pair'}, panels)) : null;
}

function choiceSection(run) {
  if (!run.choices.length) return null;
  const panels = run.choices.map((shares) => html('figure', {}, html('h3', {}, shares.title), html('div', {class: 'wide', tabindex: 0, role: 'region', 'aria-label': `How often each ${shares.title} was chosen`}, choiceTable(shares))));
  const entries = [[svg('rect', {class: 'cell-front', x: -5, y: -5, width: 10, height: 10}), 'of the front'], [svg('rect', {class: 'cell-archive', x: -5, y: -5, width: 10, height: 10}), 'of all measured']];
  return section('What the front chose', 'The larger a square, the more networks have this value in this layer. A filled square larger than its outline: the search came to prefer it.', html('div', {class: 'pair'}, panels), legend(entries));
}

// ---- failures, provenance -------------------------------------------------------------------------------------------

function failureSection(run) {
  if (!run.failures.length) return null;
  const total = run.failures.reduce((sum, f) => sum + f.count, 0);
  const faults = run.failures.map((f) => html('div', {class: 'fault'}, html('p', {class: 'code'}, f.reason),
    html('details', {}, html('summary', {}, plural(f.count, 'architecture')), html('p', {class: 'code'}, f.architectures.join(', '), f.count > f.architectures.length ? ` … and ${f.count - f.architectures.length} more` : ''))));
  return section('Failures', `${plural(total, 'measurement')} gave no value. ${total === 1 ? 'It was' : 'They were'} left out, and the run went on.`, faults);
}

function provenanceSection(run) {
  const p = run.provenance;
  return section('How it came about', null, definitions(p.facts),
    html('h3', {}, 'The same run again'), html('div', {class: 'commands'}, command(p.command)),
    p.settings.length ? html('details', {}, html('summary', {}, `All ${p.settings.length} settings`), definitions(p.settings)) : null,
    p.plugins.length ? html('details', {}, html('summary', {}, 'Plugins and their versions'), definitions(p.plugins)) : null);
}
