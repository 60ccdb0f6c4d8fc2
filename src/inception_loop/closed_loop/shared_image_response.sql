-- One scan's responses to the images of $shared, image by image.
SELECT trial_idx, condition_hash, response
FROM response
ANTI JOIN excluded_trial USING (trial_idx)
WHERE list_contains($shared, condition_hash)
ORDER BY condition_hash, trial_idx
