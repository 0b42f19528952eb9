/* The payment window's forms for cards, and its lists of banks and wallets. */

const CARDS = [
  ["4100 2800 0000 1007", "Visa, succeeds"],
  ["5500 6700 0000 1002", "Mastercard, succeeds"],
  ["6527 6589 0000 1005", "RuPay, succeeds"],
  ["3402 560004 01007", "Amex, succeeds"],
  ["4012 8888 8888 1881", "Visa from abroad"],
  ["4100 2800 0008 0001", "not enough money"],
  ["4100 2800 0006 0003", "declined"],
  ["4100 2800 0009 0000", "timed out"],
  ["4100 2800 0000 0009", "authentication failed"],
];

/* One of the names, in which the first is chosen until another is. */
export function fillList(group, names) {
  const buttons = Object.entries(names).map(([code, name], place) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: name, value: code });
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", place === 0);
    button.addEventListener("click", () => {
      for (const one of buttons) one.setAttribute("aria-checked", one === button);
    });
    return button;
  });
  group.append(...buttons);
}

/* Groups digits while they are typed, and offers the test cards. */
export function fillCards(panel, holder, chosen) {
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
  const items = CARDS.map(([number, ending]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const note = document.createElement("span");
    note.textContent = ending;
    button.type = "button";
    button.append(number, note);
    button.addEventListener("click", () => {
      field("number").value = number;
      field("expiry").value = `12 / ${year}`;
      field("cvv").value = "123";
      field("name").value ||= "Asha Rao";
      panel.querySelector("details").open = false;
      chosen();
    });
    item.append(button);
    return item;
  });
  panel.querySelector("#cards").append(...items);
}
