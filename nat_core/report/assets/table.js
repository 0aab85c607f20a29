// Tables that sort by any column, from the keyboard as well.

/**
 * columns: {title, value(row), text(row), words, cell(row)}; rows: anything.
 * `value` sorts (numbers or texts; nulls last), `text` or `cell` is shown.
 */
function sortable(caption, columns, rows, options = {}) {
  const body = html('tbody');
  const heads = columns.map((column, c) => {
    const arrow = html('span', {'aria-hidden': 'true'}, '');
    const button = html('button', {type: 'button', on: {click: () => sort(c)}}, column.title, arrow);
    return html('th', {scope: 'col', class: column.words ? 'words' : undefined, 'aria-sort': 'none'}, button);
  });
  const elements = new Map();
  for (const row of rows) {
    const cells = columns.map((column, c) => html('td', {class: column.words ? 'words' : undefined}, column.cell ? column.cell(row) : column.text(row)));
    elements.set(row, html('tr', {}, cells));
  }
  let sorted = {column: -1, down: false};
  function sort(c, down = sorted.column === c && !sorted.down) {
    sorted = {column: c, down};
    const order = [...rows].sort((p, q) => {
      const [a, b] = [columns[c].value(p), columns[c].value(q)];
      if (a === null || b === null || a === undefined || b === undefined) return (a ?? null) === (b ?? null) ? 0 : (a ?? null) === null ? 1 : -1;
      const less = typeof a === 'number' ? a - b : String(a).localeCompare(String(b), 'en');
      return down ? -less : less;
    });
    body.replaceChildren(...order.map((row) => elements.get(row)));
    heads.forEach((head, i) => {
      head.setAttribute('aria-sort', i !== c ? 'none' : down ? 'descending' : 'ascending');
      head.querySelector('span').textContent = i !== c ? '' : down ? ' ↓' : ' ↑';
    });
  }
  body.append(...elements.values());
  if (options.sorted !== undefined) sort(options.sorted, false);
  const table = html('table', {class: 'rows'}, html('caption', {class: 'hidden'}, caption), html('thead', {}, html('tr', {}, heads)), body);
  const host = html('div', {class: rows.length > 14 ? 'wide scroll' : 'wide', tabindex: 0, role: 'region', 'aria-label': caption}, table);
  host.elements = elements;
  return host;
}

/** A table as it is: heads, and rows of texts. */
function plainTable(caption, heads, rows, words = []) {
  const kind = (c) => (words.includes(c) ? 'words' : undefined);
  return html('div', {class: 'wide', tabindex: 0, role: 'region', 'aria-label': caption}, html('table', {class: 'rows'},
    html('caption', {class: 'hidden'}, caption),
    html('thead', {}, html('tr', {}, heads.map((head, c) => html('th', {scope: 'col', class: kind(c)}, head)))),
    html('tbody', {}, rows.map((row) => html('tr', {}, row.map((text, c) => html('td', {class: kind(c)}, text)))))));
}
