// Makes and changes elements. What is shown goes in as text alone, so nothing that a row says becomes markup.

const SVG = 'http://www.w3.org/2000/svg';

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** An element of HTML. */
export function html(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Changes a text, if it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Changes attributes, those that are others. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Makes the children of an element fit some items: missing ones are made, others removed. */
export function fit(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, at) => {
    if (parent.children.length === at) parent.append(make());
    update(parent.children[at], item, at);
  });
}

/** A table that is changed in place. A column has a title and says what a cell shows. */
export class Table {
  constructor(caption, columns) {
    this.columns = columns;
    this.body = html('tbody');
    const titles = columns.map(({ title, text }) => html('th', { scope: 'col', class: text ? 'text' : null }, title));
    const head = html('thead', {}, html('tr', {}, ...titles));
    const table = html('table', {}, html('caption', { class: 'unseen' }, caption), head, this.body);
    this.element = html('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, table);
  }

  show(rows) {
    const make = () => html('tr', {}, ...this.columns.map(({ head, text }) =>
      html(head ? 'th' : 'td', { scope: head ? 'row' : null, class: text ? 'text' : null })));
    fit(this.body, rows, make, (tr, row, at) => {
      this.columns.forEach(({ cell }, column) => {
        const td = tr.children[column];
        const shown = cell(row, at, td);
        if (typeof shown === 'string') say(td, shown);
      });
    });
  }
}

/** Names with numbers, changed in place. */
export function numbers(list, pairs) {
  const make = () => html('div', {}, html('dt'), html('dd'));
  fit(list, pairs.filter(Boolean), make, (div, [name, value]) => {
    say(div.firstElementChild, name);
    say(div.lastElementChild, value);
  });
}
