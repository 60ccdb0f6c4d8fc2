-- TargetModel: the models of a group for which images are wanted, and what each is for.
-- Table   models: family, configuration, core, role ('ensemble', 'validator' or ''), model, seed
-- Params  $families, $roles: which of them are wanted (lists)
-- Rows    family, role, configuration, core, seed, model.
SELECT
    family,
    role,
    configuration,
    core,
    seed,
    model
FROM models
WHERE list_contains($families, family) AND list_contains($roles, role)
ORDER BY family, role, seed, model
