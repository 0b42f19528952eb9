/* Razorpay Checkout, as the KernaPay sandbox plays it. */
(() => {
  "use strict";
  const SANDBOX = "__SANDBOX__";
  const script = document.currentScript;

  /* `{"prefill.name": "A"}` and `{prefill: {name: "A"}}` mean the same. */
  function unfold(flat) {
    const options = {};
    for (const [path, value] of Object.entries(flat)) {
      const names = path.split(".");
      const last = names.pop();
      let place = options;
      for (const name of names) place = place[name] = Object(place[name]);
      const nested = value && value.constructor === Object;
      place[last] = nested ? Object.assign({}, place[last], value) : value;
    }
    return options;
  }

  function submitForm(url, fields) {
    const form = document.createElement("form");
    form.method = "POST";
    form.action = url;
    for (const [name, value] of Object.entries(fields)) {
      const input = document.createElement("input");
      input.type = "hidden";
      input.name = name;
      input.value = value == null ? "" : String(value);
      form.append(input);
    }
    document.body.append(form);
    form.submit();
  }

  function errorFields(error) {
    const fields = {};
    for (const name of ["code", "description", "field", "source", "step", "reason"]) {
      if (error[name] != null) fields[`error[${name}]`] = error[name];
    }
    fields["error[metadata]"] = JSON.stringify(error.metadata || {});
    return fields;
  }

  class Razorpay {
    constructor(options) {
      if (!options || typeof options !== "object") throw new Error("Razorpay needs options.");
      this.options = unfold(options);
      if (!this.options.key) throw new Error("No key passed");
      this.listeners = {};
      this.frame = null;
    }

    static open(options) {
      return new Razorpay(options).open();
    }

    on(event, listener) {
      (this.listeners[event] ||= []).push(listener);
      return this;
    }

    once(event, listener) {
      const again = (detail) => {
        this.off(event, again);
        listener(detail);
      };
      return this.on(event, again);
    }

    off(event, listener) {
      const kept = (this.listeners[event] || []).filter((one) => listener && one !== listener);
      this.listeners[event] = kept;
      return this;
    }

    emit(event, detail) {
      for (const listener of [...(this.listeners[event] || [])]) listener(detail);
    }

    open() {
      if (this.frame) return this;
      this.before = { focus: document.activeElement, overflow: document.body.style.overflow };
      const frame = document.createElement("iframe");
      frame.className = "razorpay-checkout-frame";
      frame.title = "Payment";
      frame.src = `${SANDBOX}/checkout/window`;
      frame.allow = "payment";
      Object.assign(frame.style, {
        position: "fixed", inset: "0", width: "100%", height: "100%", border: "0",
        zIndex: "2147483647", background: "transparent", colorScheme: "normal",
      });
      this.hear = (message) => {
        if (message.source === frame.contentWindow && message.origin === SANDBOX) {
          this.receive(message.data);
        }
      };
      window.addEventListener("message", this.hear);
      document.body.style.overflow = "hidden";
      document.body.append(frame);
      this.frame = frame;
      const seconds = Number(this.options.timeout);
      if (seconds > 0) this.timer = setTimeout(() => this.dismiss("timeout"), seconds * 1000);
      return this;
    }

    close() {
      if (!this.frame) return;
      clearTimeout(this.timer);
      window.removeEventListener("message", this.hear);
      this.frame.remove();
      this.frame = null;
      document.body.style.overflow = this.before.overflow;
      this.before.focus?.focus?.();
    }

    dismiss(reason) {
      this.close();
      this.options.modal?.ondismiss?.(reason);
    }

    receive(message) {
      if (message.type === "ready") {
        /* Functions cannot travel; the window needs none of them. */
        const options = JSON.parse(JSON.stringify(this.options));
        this.frame.contentWindow.postMessage({ type: "open", options }, SANDBOX);
        this.frame.focus();
      } else if (message.type === "success") {
        this.succeed(message.response);
      } else if (message.type === "failure") {
        this.fail(message.error);
      } else if (message.type === "dismiss") {
        this.dismiss(message.reason);
      }
    }

    succeed(response) {
      this.close();
      if (this.options.callback_url) submitForm(this.options.callback_url, response);
      else this.options.handler?.(response);
      this.emit("payment.success", response);
    }

    fail(error) {
      this.emit("payment.failed", { error });
      if (this.options.redirect && this.options.callback_url) {
        this.close();
        submitForm(this.options.callback_url, errorFields(error));
      } else if (this.options.retry === false || this.options.retry?.enabled === false) {
        this.dismiss();
      }
    }
  }

  window.Razorpay = Razorpay;

  /* The older way: a script tag with data-key inside a form becomes a button that pays. */
  const form = script?.closest?.("form");
  if (form && script.dataset.key) {
    const flat = {};
    for (const { name, value } of script.attributes) {
      if (name.startsWith("data-")) flat[name.slice(5)] = value;
    }
    const button = document.createElement("input");
    button.type = "submit";
    button.value = flat["buttontext"] || "Pay Now";
    button.className = "razorpay-payment-button";
    form.append(button);
    let paid = false;
    form.addEventListener("submit", (event) => {
      if (paid) return;
      event.preventDefault();
      const handler = (response) => {
        for (const [name, value] of Object.entries(response)) {
          const input = document.createElement("input");
          Object.assign(input, { type: "hidden", name, value });
          form.append(input);
        }
        paid = true;
        form.submit();
      };
      Razorpay.open({ ...flat, handler });
    });
  }
})();
