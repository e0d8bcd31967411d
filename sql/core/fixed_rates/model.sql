-- Council Regulation (EC) No 2866/98, and the regulations that amended it for each further member state. Rates have
-- six significant digits and are neither rounded nor inverted: Regulation (EC) No 1103/97, article 4.
select
    listed.unit_code,
    cast(listed.from_date as date) as from_date,
    cast(listed.eur_rate as decimal(18, 9)) as eur_rate,
    listed.regulation
from (
    values
    ('ATS', '1999-01-01', '13.7603', '(EC) No 2866/98'),
    ('BEF', '1999-01-01', '40.3399', '(EC) No 2866/98'),
    ('DEM', '1999-01-01', '1.95583', '(EC) No 2866/98'),
    ('ESP', '1999-01-01', '166.386', '(EC) No 2866/98'),
    ('FIM', '1999-01-01', '5.94573', '(EC) No 2866/98'),
    ('FRF', '1999-01-01', '6.55957', '(EC) No 2866/98'),
    ('IEP', '1999-01-01', '0.787564', '(EC) No 2866/98'),
    ('ITL', '1999-01-01', '1936.27', '(EC) No 2866/98'),
    ('LUF', '1999-01-01', '40.3399', '(EC) No 2866/98'),
    ('NLG', '1999-01-01', '2.20371', '(EC) No 2866/98'),
    ('PTE', '1999-01-01', '200.482', '(EC) No 2866/98'),
    ('GRD', '2001-01-01', '340.750', '(EC) No 1478/2000'),
    ('SIT', '2007-01-01', '239.640', '(EC) No 1086/2006'),
    ('CYP', '2008-01-01', '0.585274', '(EC) No 1135/2007'),
    ('MTL', '2008-01-01', '0.429300', '(EC) No 1134/2007'),
    ('SKK', '2009-01-01', '30.1260', '(EC) No 694/2008'),
    ('EEK', '2011-01-01', '15.6466', '(EU) No 671/2010'),
    ('LVL', '2014-01-01', '0.702804', '(EU) No 870/2013'),
    ('LTL', '2015-01-01', '3.45280', '(EU) No 851/2014'),
    ('HRK', '2023-01-01', '7.53450', '(EU) 2022/1208'),
    ('BGN', '2026-01-01', '1.95583', '(EU) 2025/1409')
) as listed (unit_code, from_date, eur_rate, regulation)
