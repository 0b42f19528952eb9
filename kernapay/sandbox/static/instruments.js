/* The payment window's card form and its lists of banks and wallets. */

const CARDS = [
  ["4100 2800 0000 1007", "Visa, succeeds"],
  ["5500 6700 0000 1002", "Mastercard, succeeds"],
  ["6527 6589 0000 1005", "RuPay, succeeds"],
  ["3402 560004 01007", "Amex, succeeds"],
  ["4012 8888 8888 1881", "international Visa, succeeds"],
  ["4100 2800 0008 0001", "fails: not enough money"],
  ["4100 2800 0006 0003", "fails: declined"],
  ["4100 2800 0009 0000", "fails: timed out"],
  ["4100 2800 0000 0009", "fails: authentication failed"],
];

/* Adds a radio button for each name. The first is checked. */
export function fillList(group, names) {
  const buttons = Object.entries(names).map(([code, name], index) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: name, value: code });
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", index === 0);
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-checked", other === button);
    });
    return button;
  });
  group.append(...buttons);
}

/* Groups digits as they are typed and lists the test cards. */
export function fillCards(panel, holder, onChoose) {
  const field = (name) => panel.querySelector(`[name=${name}]`);
  field("name").value = holder;
  field("number").addEventListener("input", (event) => {
    const digits = event.target.value.replace(/\D/g, "").slice(0, 19);
    event.target.value = digits.replace(/(.{4})(?=.)/g, "$1 ");
  });
  field("expiry").addEventListener("input", (event) => {
    const digits = event.target.value.replace(/\D/g, "").slice(0, 4);
    event.target.value = digits.length > 2 ? `${digits.slice(0, 2)} / ${digits.slice(2)}` : digits;
  });
  const year = String((new Date().getFullYear() + 3) % 100).padStart(2, "0");
  const items = CARDS.map(([number, outcome]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const note = document.createElement("span");
    note.textContent = outcome;
    button.type = "button";
    button.append(number, note);
    button.addEventListener("click", () => {
      field("number").value = number;
      field("expiry").value = `12 / ${year}`;
      field("cvv").value = "123";
      field("name").value ||= "Asha Rao";
      panel.querySelector("details").open = false;
      onChoose();
    });
    item.append(button);
    return item;
  });
  panel.querySelector("#cards").append(...items);
}
