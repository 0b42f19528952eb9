/* The KernaPay sandbox's stand-in for Razorpay Checkout. */
(() => {
  "use strict";
  const SANDBOX = "__SANDBOX__";
  const script = document.currentScript;

  /* Razorpay: `{"prefill.name": "A"}` means the same as `{prefill: {name: "A"}}`. */
  function nestOptions(flat) {
    const options = {};
    for (const [path, value] of Object.entries(flat)) {
      const names = path.split(".");
      const last = names.pop();
      let target = options;
      for (const name of names) target = target[name] = Object(target[name]);
      const isObject = value && value.constructor === Object;
      target[last] = isObject ? Object.assign({}, target[last], value) : value;
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
      this.options = nestOptions(options);
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
      const wrapper = (detail) => {
        this.off(event, wrapper);
        listener(detail);
      };
      return this.on(event, wrapper);
    }

    off(event, listener) {
      const others = (this.listeners[event] || []).filter((other) => listener && other !== listener);
      this.listeners[event] = others;
      return this;
    }

    emit(event, detail) {
      for (const listener of [...(this.listeners[event] || [])]) listener(detail);
    }

    open() {
      if (this.frame) return this;
      this.previous = { focus: document.activeElement, overflow: document.body.style.overflow };
      const frame = document.createElement("iframe");
      frame.className = "razorpay-checkout-frame";
      frame.title = "Payment";
      frame.src = `${SANDBOX}/checkout/window`;
      frame.allow = "payment";
      Object.assign(frame.style, {
        position: "fixed", inset: "0", width: "100%", height: "100%", border: "0",
        zIndex: "2147483647", background: "transparent", colorScheme: "normal",
      });
      this.onMessage = (message) => {
        if (message.source === frame.contentWindow && message.origin === SANDBOX) {
          this.receive(message.data);
        }
      };
      window.addEventListener("message", this.onMessage);
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
      window.removeEventListener("message", this.onMessage);
      this.frame.remove();
      this.frame = null;
      document.body.style.overflow = this.previous.overflow;
      this.previous.focus?.focus?.();
    }

    dismiss(reason) {
      this.close();
      this.options.modal?.ondismiss?.(reason);
    }

    receive(message) {
      if (message.type === "ready") {
        /* A message cannot carry functions. The window needs none of them. */
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

  /* Razorpay's automatic checkout: in a form, a script tag with data-key becomes a button. */
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
    let isPaid = false;
    form.addEventListener("submit", (event) => {
      if (isPaid) return;
      event.preventDefault();
      const handler = (response) => {
        for (const [name, value] of Object.entries(response)) {
          const input = document.createElement("input");
          Object.assign(input, { type: "hidden", name, value });
          form.append(input);
        }
        isPaid = true;
        form.submit();
      };
      Razorpay.open({ ...flat, handler });
    });
  }
})();
