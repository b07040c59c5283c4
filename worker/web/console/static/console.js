// What pages gain where script runs. Each of them works without it.
"use strict";

(() => {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("scheme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.scheme = kept;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`nightkey_zone=${zone}`)) {
    document.cookie = `nightkey_zone=${zone}; path=/console; max-age=31536000; samesite=lax`;
  }

  const copy = async (element) => {
    await navigator.clipboard.writeText(element.dataset.copy ?? document.getElementById(element.dataset.copyOf).textContent);
    const said = element.dataset.was ?? element.textContent;
    element.dataset.was = said;
    element.textContent = "copied";
    setTimeout(() => { element.textContent = said; }, 1200);
  };

  const switchScheme = () => {
    const dark = root.dataset.scheme ? root.dataset.scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.scheme = dark ? "light" : "dark";
    try { localStorage.setItem("scheme", root.dataset.scheme); } catch { /* it lasts for this page */ }
  };

  // A value that is typed: how much of its room is used, and shown while somebody wants to see it
  const count = (field) => {
    const counter = document.getElementById(`${field.id}-count`);
    if (counter) counter.textContent = `${[...field.value].length.toLocaleString("en")} of ${Number(field.dataset.most).toLocaleString("en")}`;
  };

  // A table that fits needs no box that scrolls: then its head stays in sight while the page is scrolled
  const boxes = new ResizeObserver((seen) => {
    for (const box of new Set(seen.map((one) => one.target.closest(".scrolls")))) {
      box?.classList.toggle("fits", box.scrollWidth <= box.clientWidth);
    }
  });

  const makeLive = (within) => {
    for (const one of within.querySelectorAll(".scrolls:not(.graph-frame), .scrolls > table")) boxes.observe(one);
    for (const one of within.querySelectorAll("[data-copy], [data-copy-of]")) {
      one.tabIndex = 0;
      one.setAttribute("role", "button");
      one.title = one.title || "Copy";
    }
    for (const one of within.querySelectorAll("[data-scheme], [data-needs-script]")) one.hidden = false;
    for (const one of within.querySelectorAll("[data-most]")) count(one);
  };

  // A token behind the # of a link: no server saw it, and the address forgets it
  const takeFragment = () => {
    const field = document.querySelector("[data-from-fragment]");
    if (!field || location.hash.length < 2) return;
    field.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  };

  document.addEventListener("DOMContentLoaded", () => { makeLive(document); takeFragment(); });
  document.addEventListener("htmx:afterSwap", (event) => makeLive(event.target));
  document.addEventListener("input", (event) => { if (event.target.dataset.most) count(event.target); });
  document.addEventListener("change", (event) => {
    const shown = event.target.dataset.shows && document.getElementById(event.target.dataset.shows);
    if (shown) shown.type = event.target.checked ? "text" : "password";
    const all = event.target.dataset.all;
    if (all) for (const one of document.querySelectorAll(`input[name="${all}"]`)) one.checked = event.target.checked;
  });
  document.addEventListener("click", (event) => {
    const copied = event.target.closest("[data-copy], [data-copy-of]");
    if (copied) copy(copied);
    if (event.target.closest("[data-scheme]")) switchScheme();
    for (const open of document.querySelectorAll("details.ask[open], details.you[open], details.drawer[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); document.getElementById("find")?.focus(); }
    if (event.key === "Escape") for (const open of document.querySelectorAll("details.ask[open], details.you[open], details.drawer[open]")) { open.open = false; open.querySelector("summary").focus(); }
    if ((event.key === "Enter" || event.key === " ") && event.target.dataset?.copy) { event.preventDefault(); copy(event.target); }
  });
})();
