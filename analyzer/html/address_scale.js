// SPDX-License-Identifier: MIT
// address_scale.js: puts the pages that were touched below each other, process after process, and
// leaves out the space between. Pages that lie near each other stay together as one *extent*.
//
//   extent: { process, page, pages, at, rows }   pages [page, page + pages) take the rows from `at`

const EXTENT_LIMIT = 300;

const processOf = run => model.data.threads.process[model.runs.thread[run]];
// All runs, by process and page.
const addressOrder = d3.range(model.runs.page.length).sort((a, b) =>
	processOf(a) - processOf(b) || model.runs.page[a] - model.runs.page[b]);

// A scale for the selected runs.
function addressScale() {
	const { runs } = model;
	const order = addressOrder.filter(model.isSelectedRun);

	function extentsWith(bridge) {
		const list = [];
		let last = null;
		for (const i of order) {
			const process = processOf(i), page = runs.page[i], end = page + runs.pages[i];
			if (last && last.process === process && page <= last.page + last.pages + bridge) {
				last.pages = Math.max(last.pages, end - last.page);
			} else {
				if (list.length >= EXTENT_LIMIT)
					return null;
				list.push(last = { process, page, pages: end - page });
			}
		}
		return list;
	}
	let bridge = 16, extents = extentsWith(bridge);
	while (!extents)
		extents = extentsWith(bridge *= 4);

	// A small extent gets some height, too, and the gaps a little.
	const pages = d3.sum(extents, extent => extent.pages);
	const least = Math.min(pages / 60, 0.5 * pages / Math.max(1, extents.length));
	const gap = least / 3;
	let at = 0;
	for (const extent of extents) {
		extent.at = at;
		extent.rows = Math.max(extent.pages, least);
		at += extent.rows + gap;
	}
	const starts = extents.map(extent => extent.at);
	const byPlace = (process, page) => {
		let low = 0, high = extents.length;
		while (low < high) {
			const middle = (low + high) >> 1, extent = extents[middle];
			if (extent.process < process || extent.process === process && extent.page <= page)
				low = middle + 1;
			else
				high = middle;
		}
		return extents[low - 1];
	};

	return {
		extents,
		rows: Math.max(1, at - gap),
		// Where a selected run begins and ends.
		rowsOf(run) {
			const extent = byPlace(processOf(run), runs.page[run]), scale = extent.rows / extent.pages;
			const row = extent.at + (runs.page[run] - extent.page) * scale;
			return [row, row + runs.pages[run] * scale];
		},
		// What lies at a row: the extent and the page (not an integer); null in a gap.
		invert(row) {
			const extent = extents[d3.bisectRight(starts, row) - 1];
			if (!extent || row >= extent.at + extent.rows)
				return null;
			return { extent, page: extent.page + (row - extent.at) * extent.pages / extent.rows };
		},
	};
}
