// An architecture drawn as blocks: a bar for each layer, as wide as its kernel and as tall as its expansion.

/** The words of a drawing, for who does not see it. */
function drawnWords(point, blocks) {
  const stages = point.drawn.map((stage, g) => `stage ${g + 1}: ${stage.map((b) => blocks[b].label).join('; ')}`);
  return [...point.facts.map(([word, value]) => `${word} ${value}`), ...stages].join('. ');
}

/** Stages beside each other, at most `deepest` layers each; a layer that is not there is a dashed line. */
function drawing(point, blocks, deepest) {
  const alone = point.drawn.length === 1 ? point.drawn[0].length : 0;
  const wide = alone && alone <= 9 ? Math.min(420 / alone - 6, 60) : 22;
  const gap = alone && alone <= 9 ? 6 : 4;
  const tall = 62;
  const stages = point.drawn.map((stage, g) => ({stage, g, layers: Math.max(deepest[g] || 0, stage.length)}));
  const most = 420;
  const rows = [[]];
  let used = 0;
  for (const s of stages) {
    s.width = s.layers * (wide + gap) + 8;
    if (used + s.width > most && rows.at(-1).length) {
      rows.push([]);
      used = 0;
    }
    s.left = used;
    used += s.width + 6;
    rows.at(-1).push(s);
  }
  const width = Math.max(...rows.map((row) => row.reduce((sum, s) => Math.max(sum, s.left + s.width), 0)), 1);
  const height = rows.length * (tall + 30) - 8;
  const picture = svg('svg', {viewBox: `0 0 ${Math.max(width, 260)} ${height}`, role: 'img', 'aria-label': drawnWords(point, blocks)});
  rows.forEach((row, r) => {
    const floor = r * (tall + 30) + tall;
    for (const s of row) {
      for (let j = 0; j < s.layers; j += 1) {
        const left = s.left + j * (wide + gap);
        const block = blocks[s.stage[j]];
        if (!block) {
          picture.append(svg('line', {class: 'absent', x1: left, x2: left + wide, y1: floor - 1, y2: floor - 1}));
          continue;
        }
        const [w, h] = [Math.min(wide, 22) * Math.max(block.width, 0.3), (tall - 8) * (0.12 + 0.88 * block.height)];
        const bar = svg('rect', {class: 'block', x: left + (wide - w) / 2, y: floor - h, width: w, height: h, rx: 2}, svg('title', {}, block.label));
        picture.append(bar);
        const short = /^\d+/.exec(block.label);
        const under = alone && block.label.length * 6 <= wide + gap;
        if (under) picture.append(svg('text', {class: 'under', x: left + wide / 2, y: floor + 15}, block.label));
        else if (short && h >= 16 && w >= 8) picture.append(svg('text', {class: 'inside', x: left + wide / 2, y: floor - 5, 'text-anchor': 'middle'}, short[0]));
      }
      if (stages.length > 1) picture.append(svg('text', {x: s.left, y: floor + 15}, s.layers > 2 ? `stage ${s.g + 1}` : `${s.g + 1}`));
    }
  });
  return picture;
}

/** How often each value was chosen, slot by slot: a filled square for the front, an outlined one for all measured. */
function choiceTable(shares) {
  const words = shares.rows.flatMap((row, r) => shares.columns.map((column, c) => `${column} ${row}: ${Math.round(100 * shares.front[r][c])} % of the front, ${Math.round(100 * shares.archive[r][c])} % of all`));
  const margin = 14 + 7 * Math.max(...shares.rows.map((row) => row.length));
  let gaps = 0;
  const offsets = shares.stages.map((g, c) => { gaps += c && g !== shares.stages[c - 1] ? 1 : 0; return gaps; });
  return chart((width) => {
    const room = Math.min(Math.max((width - margin - gaps * 8) / shares.columns.length, 13), shares.rows.length > 1 ? 34 : 48);
    const longest = Math.max(...shares.columns.map((c) => c.length));
    const turned = longest * 7 > room - 2 && longest > 3;
    const short = !turned && longest * 6.4 > room - 1;
    const foot = turned ? 8 + 7 * longest : 22;
    const total = margin + room * shares.columns.length + gaps * 8;
    const height = shares.rows.length * room + foot;
    const picture = svg('svg', {viewBox: `0 0 ${Math.max(width, total)} ${height}`, width: Math.max(width, total), height, role: 'img', 'aria-label': `${shares.title}: ${words.slice(0, 200).join('; ')}`});
    shares.rows.forEach((row, r) => {
      const y = r * room;
      picture.append(svg('text', {x: margin - 10, y: y + room / 2 + 4, 'text-anchor': 'end'}, row));
      shares.columns.forEach((column, c) => {
        const x = margin + c * room + offsets[c] * 8;
        const [a, b] = [Math.sqrt(shares.front[r][c]), Math.sqrt(shares.archive[r][c])].map((s) => s * (room - 3));
        const cell = svg('g', {}, svg('title', {}, words[r * shares.columns.length + c]));
        cell.append(svg('rect', {class: 'cell', x: x + 0.5, y: y + 0.5, width: room - 1, height: room - 1}));
        if (a > 0) cell.append(svg('rect', {class: 'cell-front', x: x + (room - a) / 2, y: y + (room - a) / 2, width: a, height: a}));
        for (const kind of b > 0 ? ['cell-halo', 'cell-archive'] : []) cell.append(svg('rect', {class: kind, x: x + (room - b) / 2, y: y + (room - b) / 2, width: b, height: b}));
        picture.append(cell);
      });
    });
    const floor = shares.rows.length * room;
    const stageOf = shares.stages;
    shares.columns.forEach((column, c) => {
      const x = margin + c * room + offsets[c] * 8 + room / 2;
      const staged = /^\d+\.\d+$/.test(column);
      if (turned) picture.append(svg('text', {transform: `translate(${x + 4} ${floor + 8}) rotate(90)`}, column));
      else if (short && staged && stageOf.at(-1) > 0) {
        if (c === 0 || stageOf[c] !== stageOf[c - 1]) picture.append(svg('text', {x: x - room / 2, y: floor + 16}, `stage ${stageOf[c] + 1}`.slice(room * stageOf.filter((g) => g === stageOf[c]).length < 48 ? 6 : 0)));
      } else picture.append(svg('text', {x, y: floor + 16, 'text-anchor': 'middle'}, staged && stageOf.at(-1) === 0 ? column.split('.')[1] : column));
    });
    return unshrinking(picture, total);
  });
}
