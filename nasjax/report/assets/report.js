// The script of a report: sorts tables, shows architectures. It loads nothing.
"use strict";
const report = (() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const hovers = matchMedia("(hover: hover)").matches;
  const palette = () => page.palettes[dark.matches ? "dark" : "light"];

  function make(tag, text, attributes) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    return node;
  }

  // Tables. A cell with a number carries it as data-v; what has none stays last in either direction.
  function sortable(table) {
    const body = table.tBodies[0], original = [...body.rows];
    if (original.length < 2) return;
    if (original.length > 24) fold(table, original.length);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const numeric = original.some((row) => "v" in row.cells[column].dataset);
      const key = (row) => {
        const cell = row.cells[column];
        if (numeric) return "v" in cell.dataset ? Number(cell.dataset.v) : null;
        return cell.textContent.trim() || null;
      };
      const cycle = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const button = make("button", null, { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = cycle[(cycle.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (order) head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = order ? [...original].sort((a, b) => {
          const [first, second] = [key(a), key(b)];
          if (first === null || second === null) return (first === null) - (second === null);
          return sign * (numeric ? first - second : first.localeCompare(second, "en", { numeric: true }));
        }) : original;
        body.append(...rows);
      });
    });
  }

  function fold(table, count) { // which rows are shown is a matter of style, so that a sorted table shows its first
    const more = make("button", `Show all ${count} rows`, { type: "button", class: "more" });
    table.classList.add("folded");
    more.addEventListener("click", () => {
      const folded = table.classList.toggle("folded");
      more.textContent = folded ? `Show all ${count} rows` : "Show fewer rows";
    });
    table.parentNode.after(more);
  }

  // Networks.
  const SVG = "http://www.w3.org/2000/svg";
  const PLAIN = new Set(["input", "output", "add", "head", "c_{k-2}", "c_{k-1}"]);
  const kind = (label) => label.split("(")[0];

  function svg(tag, attributes, parent) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (parent) parent.append(node);
    return node;
  }

  function arrow(parent, points, end, from) {
    svg("path", { d: points, class: "edge" }, parent);
    const [dx, dy] = [end[0] - from[0], end[1] - from[1]], length = Math.hypot(dx, dy) || 1;
    const [ux, uy] = [dx / length, dy / length];
    const at = (back, side) => `${end[0] - back * ux - side * uy},${end[1] - back * uy + side * ux}`;
    svg("polygon", { points: `${at(0, 0)} ${at(7, 3)} ${at(7, -3)}`, class: "tip" }, parent);
  }

  // Places of the nodes. Parts that are not connected, such as two cells, stand one below the other where they would be
  // too wide side by side.
  function stacked(graph, unit) {
    const part = graph.x.map((_, i) => i), root = (i) => part[i] === i ? i : root(part[i]);
    for (let i = 0; i < graph.e.length; i += 2) part[root(graph.e[i])] = root(graph.e[i + 1]);
    const parts = [...new Set(part.map((_, i) => root(i)))];
    if (parts.length < 2 || (Math.max(...graph.x) + 1) * unit < 640) return [graph.x, graph.y];
    const [x, y] = [[...graph.x], [...graph.y]];
    const members = parts.map((p) => x.map((_, i) => i).filter((i) => root(i) === p));
    members.sort((a, b) => Math.min(...a.map((i) => graph.x[i])) - Math.min(...b.map((i) => graph.x[i])));
    const spans = members.map((m) => m.map((i) => graph.x[i])).map((v) => [Math.min(...v), Math.max(...v)]);
    const widest = Math.max(...spans.map(([low, high]) => high - low));
    let top = 0;
    members.forEach((m, k) => {
      const [low, high] = spans[k], first = Math.min(...m.map((i) => graph.y[i]));
      for (const i of m) [x[i], y[i]] = [graph.x[i] - low + (widest - high + low) / 2, graph.y[i] - first + top];
      top = Math.max(...m.map((i) => y[i])) + 1.5;
    });
    return [x, y];
  }

  function drawing(number) {
    const graph = page.graphs[number];
    if (!graph) return null;
    const names = graph.n.map((i) => page.labels[i]);
    const half = names.map((name) => (name.length * 6.3 + 16) / 2);
    const unit = Math.max(60, 2 * Math.max(...half) + 12), row = 40, tall = 11;
    const [across, down] = stacked(graph, unit);
    const x = across.map((v) => (v + 0.5) * unit + 14), y = down.map((v) => v * row + 16);
    const height = Math.max(...y) + 16;
    const counts = {};
    for (const name of names) if (!PLAIN.has(kind(name))) counts[kind(name)] = (counts[kind(name)] || 0) + 1;
    const kinds = Object.keys(counts).sort((a, b) => counts[b] - counts[a]).slice(0, 4);
    const root = svg("svg", { class: "net", role: "img" });
    svg("title", {}, root).textContent = `Network of ${names.length} nodes: ${names.join(", ")}`;
    let around = 0, left = 0, right = Math.max(...x) + unit / 2 + 14;

    // How many boxes an edge crosses that is neither its first nor its last, for a sideways bend.
    function crossed(a, b, bend) {
      const hit = new Set();
      for (let t = 0.04; t < 1; t += 0.04) {
        const [px, py] = along(a, b, bend, t);
        names.forEach((_, i) => {
          if (i !== a && i !== b && Math.abs(px - x[i]) < half[i] + 3 && Math.abs(py - y[i]) < tall + 3) hit.add(i);
        });
      }
      return hit.size;
    }

    function along(a, b, bend, t) { // a cubic curve whose inner points are moved sideways
      const [y0, y3] = [y[a] + tall, y[b] - tall], s = 1 - t;
      const weights = [s ** 3, 3 * s * s * t, 3 * s * t * t, t ** 3];
      const sum = (...values) => values.reduce((total, v, i) => total + v * weights[i], 0);
      const [x1, x2] = bend ? [x[a] + bend, x[b] + bend] : [(2 * x[a] + x[b]) / 3, (x[a] + 2 * x[b]) / 3];
      const lift = bend ? Math.min(20, (y3 - y0) / 4) : (y3 - y0) / 3;
      return [sum(x[a], x1, x2, x[b]), sum(y0, y0 + lift, y3 - lift, y3)];
    }
    for (let i = 0; i < graph.e.length; i += 2) {
      const [a, b] = [graph.e[i], graph.e[i + 1]];
      const start = [x[a], y[a] + tall], end = [x[b], y[b] - tall];
      if (down[b] <= down[a]) { // to the next column, along the gap between the two
        const gap = (x[a] + x[b]) / 2 + 6 * (around % 3) - 6, low = y[a] + tall + 4 + 2 * (around++ % 3);
        const side = [x[b] - half[b], y[b]];
        arrow(root, `M${start}L${x[a]},${low}L${gap},${low}L${gap},${y[b]}L${side}`, side, [gap, y[b]]);
        right = Math.max(right, gap + 6);
      } else if (down[b] - down[a] < 1.01) arrow(root, `M${start}L${end}`, end, start);
      else { // the smallest bend that crosses the fewest boxes
        const bends = [0, 0.5, 0.8, 1.15, 1.5, 2].flatMap((far) => far ? [far * unit, -far * unit] : [0]);
        const counts = bends.map((bend) => crossed(a, b, bend)), bend = bends[counts.indexOf(Math.min(...counts))];
        const way = Array.from({ length: 19 }, (_, k) => along(a, b, bend, (k + 1) / 20));
        for (const [px] of way) [left, right] = [Math.min(left, px - 6), Math.max(right, px + 6)];
        arrow(root, `M${start}L${way.map((p) => p.map((v) => v.toFixed(1))).join("L")}L${end}`, end, way[17]);
      }
    }
    root.setAttribute("viewBox", `${left} 0 ${right - left} ${height}`);
    root.style.width = `${right - left}px`;
    names.forEach((name, i) => {
      const colour = kinds.indexOf(kind(name));
      const group = svg("g", { class: `node ${colour < 0 ? "plain" : `k${colour}`}` }, root);
      svg("rect", { x: x[i] - half[i], y: y[i] - tall, width: 2 * half[i], height: 2 * tall, rx: 5 }, group);
      svg("text", { x: x[i], y: y[i] + 4 }, group).textContent = name;
    });
    return root;
  }

  for (const still of document.querySelectorAll("picture[data-a]")) {
    const graph = drawing(Number(still.dataset.a));
    if (!graph) continue;
    const live = make("div", null, { class: "live drawn" });
    live.append(graph);
    still.before(live);
    still.classList.add("off");
    if (parseFloat(graph.style.width) > 1.5 * live.clientWidth) { // scrolls
      graph.style.maxWidth = "none";
      live.tabIndex = 0;
    }
  }

  // The card that shows an architecture: beside the pointer, on small screens at the lower edge.
  const card = make("div", null, { id: "card", role: "status", "aria-live": "polite", hidden: "" });
  const ring = make("div", null, { id: "ring", hidden: "" });
  document.body.append(card, ring);
  const room = document.documentElement;
  let pinned = null, follow = null; // follow: where the card belongs, once it is more than a hover

  const numeral = (value) => value === null ? "\u2013" : Number.isInteger(value) ? value.toLocaleString("en")
    : String(Number(value.toPrecision(5))).replace("-", "\u2212");

  function show(arch, values, anchor, owner) {
    if (pinned && pinned !== owner) return;
    const graph = drawing(arch);
    const close = make("button", "\u00d7", { type: "button", class: "close", "aria-label": "Close" });
    close.addEventListener("click", () => hide(true));
    card.replaceChildren(close);
    if (graph) {
      const pane = make("div", null, { class: "pane" });
      pane.append(graph);
      const natural = parseFloat(graph.style.width);
      card.style.maxWidth = narrow.matches ? "" : `min(${Math.min(Math.max(512, natural + 30), 760)}px, 96vw)`;
      card.append(pane);
      // What could not be read if it fitted scrolls.
      const wide = narrow.matches && natural > 1.4 * room.clientWidth;
      pane.classList.toggle("wide", wide);
    }
    card.append(make("code", page.archs[arch]));
    if (!graph && Object.keys(page.graphs).length) card.append(make("p", "No drawing in this report.", { class: "none" }));
    const list = make("dl");
    for (const [name, value] of values) {
      const item = make("div");
      item.append(make("dt", name), make("dd", numeral(value)));
      list.append(item);
    }
    if (values.length) card.append(list);
    card.hidden = false;
    put(anchor);
  }

  function put(anchor) {
    if (narrow.matches) { card.style.left = card.style.top = ""; return; }
    const box = card.getBoundingClientRect();
    const right = anchor.x + 18, left = anchor.x - 18 - box.width;
    card.style.left = `${Math.max(8, right + box.width < room.clientWidth - 8 ? right : left)}px`;
    card.style.top = `${Math.max(8, Math.min(anchor.y - box.height / 3, room.clientHeight - box.height - 8))}px`;
  }

  function hide(force) {
    if (pinned && !force) return;
    pinned = follow = null;
    card.classList.remove("pinned");
    card.hidden = ring.hidden = true;
  }

  function pin(owner, where) {
    if (pinned === owner) { hide(true); return; }
    pinned = owner;
    follow = where;
    card.classList.add("pinned");
  }

  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(true); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#card, .arch, .live")) hide(true);
  });
  addEventListener("scroll", () => {
    if (card.hidden) return;
    if (follow) put(follow());
    else if (!narrow.matches) hide(false);
  }, { passive: true });

  for (const button of document.querySelectorAll("button.arch")) {
    const where = () => {
      const box = button.getBoundingClientRect();
      return { x: Math.min(box.right, innerWidth / 2), y: box.top };
    };
    const open = () => show(Number(button.dataset.a), [], where(), button);
    button.addEventListener("mouseenter", open);
    button.addEventListener("focus", () => { // which may scroll
      open();
      if (!pinned) follow = where;
    });
    button.addEventListener("mouseleave", () => hide(false));
    button.addEventListener("blur", () => hide(false));
    button.addEventListener("click", () => {
      if (pinned && pinned !== button) hide(true);
      open();
      pin(button, where);
    });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  return { page, dark, hovers, make, palette, card, ring, show, hide, pin, pinned: () => pinned,
    moveTo: (where) => { follow = where; } };
})();
