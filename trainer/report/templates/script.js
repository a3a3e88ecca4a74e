"use strict";
(() => {
  const tip = document.getElementById("tip");

  const show = (text, event) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const above = event.clientY - box.height - 14;
    tip.style.transform =
      `translate(${Math.max(x, 8)}px, ${above > 8 ? above : event.clientY + 18}px)`;
  };
  const hide = () => { tip.hidden = true; };

  const hinted = (event) => {
    const found = event.target.closest && event.target.closest("[data-tip]");
    if (found && found.dataset.tip) show(found.dataset.tip, event);
    return found;
  };

  document.addEventListener("pointermove", (event) => {
    if (!hinted(event) && !event.target.closest("svg[data-lines]")) hide();
  });
  document.addEventListener("pointerdown", hinted);
  addEventListener("scroll", hide, { passive: true });

  const follow = (drawing) => {
    const lines = JSON.parse(drawing.dataset.lines);
    const [left, , right] = drawing.dataset.box.split(" ").map(Number);
    const cursor = drawing.querySelector(".cursor");
    const near = (points, x) => points.reduce((best, point) =>
      Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best);
    const read = (event) => {
      if (event.target.closest("[data-tip]")) return;
      const place = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(drawing.getScreenCTM().inverse());
      if (place.x < left - 8 || place.x > right + 8) return leave();
      const found = lines.map((line) => [line.name, near(line.points, place.x)]);
      const nearest = near(found.map(([, point]) => point), place.x);
      cursor.setAttribute("transform", `translate(${nearest[0]} 0)`);
      cursor.setAttribute("visibility", "visible");
      const rows = found.map(([name, point]) => `${name}: ${point[3]}` +
        (point[2] === nearest[2] ? "" : ` (at ${point[2]})`));
      show([`${drawing.dataset.x} ${nearest[2]}`, ...rows].join("\n"), event);
    };
    const leave = () => { cursor.setAttribute("visibility", "hidden"); hide(); };
    drawing.addEventListener("pointermove", read);
    drawing.addEventListener("pointerdown", read);
    drawing.addEventListener("pointerleave", leave);
  };
  document.querySelectorAll("svg[data-lines]").forEach(follow);

  const number = (text) => {
    const found = text.replace(/,/g, "").match(/^\s*[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : null;
  };
  const compare = (a, b, sign) => {
    const [x, y] = [number(a), number(b)];
    if (x !== null && y !== null) return sign * (x - y);
    if (x === null && y === null) return sign * a.localeCompare(b);
    return x === null ? 1 : -1;
  };
  const sortable = (table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    if (body.rows.length < 2) return;
    heads.forEach((head, index) => {
      const sort = () => {
        const falls = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falls ? "descending" : "ascending");
        const text = (row) => row.cells[index].textContent.trim();
        [...body.rows]
          .sort((a, b) => compare(text(a), text(b), falls ? -1 : 1))
          .forEach((row) => body.append(row));
      };
      head.tabIndex = 0;
      head.title = "sort";
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
      });
    });
  };
  document.querySelectorAll(".table > table").forEach(sortable);
})();
