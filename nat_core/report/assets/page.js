// Elements, words and numbers. Whatever comes from a run reaches the page as text: by textContent, never as markup.

const SVG = 'http://www.w3.org/2000/svg';
const GLUE = '\u00a0'; // keeps a number and its unit on one line

/** Give an element its attributes, listeners (`on`) and children. A child that is a string becomes a text. */
function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

const html = (tag, attributes, ...children) => furnish(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => furnish(document.createElementNS(SVG, tag), attributes, children);

const plural = (n, word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;

/** A value of an objective as a person reads it: an error in per cent, a large count in millions. */
function said(objective, value) {
  if (value === null || value === undefined) return '–';
  if (objective.unit === '%') return `${(100 * value).toFixed(2)}${GLUE}%`;
  const size = Math.abs(value);
  const unit = objective.unit ? `${GLUE}${objective.unit}` : '';
  if (objective.unit === 'bytes' && size >= 1e5) return `${digits(value / 1e6, 4)}${GLUE}MB`;
  if (size >= 1e15) return `${value.toPrecision(4)}${unit}`;
  if (size >= 1e5) return `${(value / 1e6).toLocaleString('en', {minimumFractionDigits: 3, maximumFractionDigits: 3})}${GLUE}M${unit}`;
  return `${digits(value, 4)}${unit}`;
}

/** The same for a sentence: three digits will do. */
function brief(objective, value) {
  return said(objective, objective.unit === '%' ? value : Number(value.toPrecision(3))).replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');
}

function digits(value, n) {
  const size = Math.abs(value);
  if (size > 0 && size < 1e-4) return value.toExponential(n - 2);
  return value.toLocaleString('en', {maximumSignificantDigits: Math.max(n, Math.ceil(Math.log10(size || 1)))});
}

/** A word for a shell. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

/** Where the run lies, for a command to copy: a page in its own run folder knows the whole path, any other the name. */
function runFolder(name) {
  if (location.protocol !== 'file:') return name;
  const parts = decodeURIComponent(location.pathname).split('/').slice(0, -1);
  return parts.at(-1) === name ? parts.join('/') : name;
}

/** A command, and a button that copies it. */
function command(text) {
  const code = html('code', {}, text.split(' ').flatMap((word, n) => [n ? ' ' : '', html('span', {}, word)])); // lines break between words
  const button = html('button', {type: 'button', 'aria-label': `Copy: ${text}`, on: {click: copy}}, 'Copy');
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand('copy');
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  }
  return html('div', {class: 'command'}, code, button);
}

function section(title, note, ...children) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return html('section', {'aria-labelledby': id}, html('h2', {id}, title), note && html('p', {class: 'note'}, note), children);
}

/** Lists of words: `a, b and c`. */
function listed(words) {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

function legend(entries) {
  const items = entries.map(([mark, text]) => {
    const sample = svg('svg', {viewBox: '-9 -7 18 14', 'aria-hidden': 'true'}, mark);
    return html('li', {}, sample, text);
  });
  return html('ul', {class: 'legend'}, items);
}

function definitions(pairs) {
  return html('dl', {class: 'facts'}, pairs.map(([word, text]) => [html('dt', {}, word), html('dd', {}, text)]));
}
