// SPDX-License-Identifier: MIT
// tip.js: the box beside the pointer, and small things that several parts of the page draw.

const tip = (() => {
	const box = d3.select("#tip");

	// Lines: strings, or [label, text] pairs. (x, y): of the pointer, in the window.
	function show(lines, x, y) {
		box.selectAll("*").remove();
		for (const line of lines) {
			const row = box.append("div");
			if (Array.isArray(line)) {
				row.append("span").attr("class", "label").text(line[0] + " ");
				row.append("span").text(line[1]);
			} else {
				row.text(line);
			}
		}
		box.attr("hidden", null);
		const { width, height } = box.node().getBoundingClientRect();
		const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
		const top = y + 14 + height > innerHeight ? y - 14 - height : y + 14;
		box.style("left", Math.max(4, left) + "px").style("top", Math.max(4, top) + "px");
	}
	const hide = () => box.attr("hidden", true);
	addEventListener("scroll", hide, { passive: true, capture: true });
	return { show, hide };
})();

// Sources always have the same colour; one that this page does not know is grey.
const SOURCE_ORDER = ["mmap", "brk", "malloc-mmap", "arena", "bss", "stack", "mremap", "late", "memfd", "shm"];
const sourceColour = name => {
	const index = SOURCE_ORDER.indexOf(name);
	return index < 0 ? "var(--c7)" : `var(--c${index})`;
};

// A list of [colour, text].
function drawLegend(list, entries) {
	d3.select(list).selectAll("li").data(entries).join(enter => {
		const item = enter.append("li");
		item.append("i");
		item.append("span");
		return item;
	}).call(items => {
		items.select("i").style("background", d => d[0]);
		items.select("span").text(d => d[1]);
	});
}

// How wide charts are before anything is drawn: to ask later lays out all that was drawn meanwhile.
const firstWidths = new Map(Array.from(document.querySelectorAll(".chart"), chart => [chart, chart.clientWidth]));

// Calls draw(width) now, whenever the element's width changes, and for paper.
function onWidth(element, draw) {
	const PAPER = 720;
	let width = 0;
	const look = newWidth => {
		if (newWidth === width || newWidth === 0)
			return;
		width = newWidth;
		draw(width);
	};
	new ResizeObserver(() => look(element.clientWidth)).observe(element);
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(width));
	matchMedia("print").addEventListener("change", event => draw(event.matches ? PAPER : width));
	look(firstWidths.get(element));
}
