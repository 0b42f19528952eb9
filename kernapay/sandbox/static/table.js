/* Tables that are drawn again and again: rows keep their place and their elements, and the focus stays. */

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/* The row of the click is looked up then, because its data may be newer than the button. */
export function button(text, onRow, className = "") {
  const onclick = (event) => onRow(event.target.closest("tr").row);
  return element("button", { type: "button", textContent: text, onclick, className });
}

export function pill(status) {
  return element("span", { className: `pill ${status}`, textContent: status });
}

const asCell = (content) =>
  content instanceof HTMLTableCellElement ? content : element("td", {}, content ?? "–");

function fillRow(tr, row, cells) {
  tr.row = row;
  cells(row).map(asCell).forEach((cell, place) => {
    const old = tr.cells[place];
    if (!old) tr.append(cell);
    else if (old.outerHTML !== cell.outerHTML) replaceCell(old, cell);
  });
}

/* A focused button is replaced by the one with the same text, or else by the first of its cell. */
function replaceCell(old, cell) {
  const focused = old.contains(document.activeElement) ? document.activeElement.textContent : null;
  old.replaceWith(cell);
  if (focused === null) return;
  const buttons = [...cell.querySelectorAll("button")];
  (buttons.find((other) => other.textContent === focused) || buttons[0])?.focus();
}

export class LiveTable {
  constructor(section, headings, cells) {
    this.cells = cells;
    this.rows = new Map();
    this.body = element("tbody");
    const head = element("tr", {}, ...headings.map((text) => element("th", { textContent: text, scope: "col" })));
    this.table = element("table", { hidden: true }, element("thead", {}, head), this.body);
    this.empty = element("p", { className: "empty", textContent: "Nothing yet." });
    section.querySelector(".table").replaceChildren(this.table, this.empty);
  }

  draw(rows) {
    const kept = new Set(rows.map(({ id }) => id));
    for (const [id, tr] of this.rows) {
      if (!kept.has(id)) {
        tr.remove();
        this.rows.delete(id);
      }
    }
    let next = this.body.firstElementChild;
    for (const row of rows) {
      const text = JSON.stringify(row);
      let tr = this.rows.get(row.id);
      if (!tr) {
        tr = element("tr");
        this.rows.set(row.id, tr);
      }
      if (tr.text !== text) fillRow(tr, row, this.cells);
      tr.text = text;
      if (tr === next) next = next.nextElementSibling;
      else this.body.insertBefore(tr, next);
    }
    this.table.hidden = !rows.length;
    this.empty.hidden = Boolean(rows.length);
  }
}
